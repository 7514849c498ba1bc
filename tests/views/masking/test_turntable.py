"""Telling what stands still behind an object that turns."""

import numpy as np
import pytest

from fast3r.views.masking.turntable import find_background

HEIGHT, WIDTH = 120, 160


def smooth(random: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Return a picture of soft random colours."""
    coarse = random.integers(0, 256, (cells, cells, 3)).astype(float)
    rows, columns = (np.linspace(0, cells - 1.001, n) for n in (height, width))
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = (rows - r)[:, None, None], (columns - c)[None, :, None]
    upper = coarse[r][:, c] * (1 - fc) + coarse[r][:, c + 1] * fc
    lower = coarse[r + 1][:, c] * (1 - fc) + coarse[r + 1][:, c + 1] * fc
    return upper * (1 - fr) + lower * fr


def outline(turn: float) -> np.ndarray:
    """Return where an ellipse in the middle is, turned by an angle."""
    y, x = np.indices((HEIGHT, WIDTH)) - np.array([HEIGHT / 2, WIDTH / 2])[:, None, None]
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return (u / 45) ** 2 + (v / 25) ** 2 < 1


def turning(
    count: int, *, plain: bool = False, moving: bool = False, noise: float = 2.0, seed: int = 0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return photos of an object that turns, and where it is in each."""
    random = np.random.default_rng(seed)
    wall = smooth(random, HEIGHT, WIDTH + 200, 12)
    wall = np.full_like(wall, 235) if plain else wall
    photos, objects = [], []
    for index in range(count):
        inside = outline(2 * np.pi * index / count)
        first = 9 * index if moving else 0
        texture = smooth(np.random.default_rng(100 + index), HEIGHT, WIDTH, 16) * 0.6
        photo = np.where(inside[..., None], texture, wall[:, first : first + WIDTH])
        photo = photo + random.normal(0, noise, photo.shape)
        photos.append(photo.clip(0, 255).round().astype(np.uint8))
        objects.append(inside)
    return photos, objects


def agreement(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the intersection over union."""
    return (found & wanted).sum() / (found | wanted).sum()


@pytest.mark.parametrize("noise", [0.0, 2.0, 4.0])
def test_the_background_of_a_fixed_camera_is_told_from_what_turns(noise: float) -> None:
    photos, objects = turning(12, noise=noise)
    background = find_background(photos)
    for photo, inside in zip(photos, objects, strict=True):
        assert agreement(~background(photo), inside) > 0.8
        assert not (background(photo) & inside).sum() > 0.03 * inside.sum()


def test_a_plain_backdrop_needs_no_fixed_camera() -> None:
    photos, objects = turning(8, plain=True)
    shifted = [np.roll(photo, 5 * index, 1) for index, photo in enumerate(photos)]
    background = find_background(shifted)
    for index, inside in enumerate(objects):
        assert agreement(~background(shifted[index]), np.roll(inside, 5 * index, 1)) > 0.8


def test_parts_of_the_object_that_have_one_colour_all_round_stay() -> None:
    photos, _ = turning(12)
    core = (np.indices((HEIGHT, WIDTH)) - np.array([60, 80])[:, None, None]).__abs__().max(0) < 12
    painted = [np.where(core[..., None], np.uint8(90), photo) for photo in photos]
    background = find_background(painted)
    assert not any((background(photo) & core).any() for photo in painted)


def test_a_camera_that_moved_is_said_to_have_moved() -> None:
    photos, _ = turning(12, moving=True)
    with pytest.raises(ValueError, match=r"the camera was not fixed: .* 70% are needed; nor is"):
        find_background(photos)


def test_photos_in_which_nothing_turns_are_refused() -> None:
    photos, _ = turning(1)
    with pytest.raises(ValueError, match="nothing turns in these photos"):
        find_background(photos * 6)


def test_a_few_photos_are_too_few() -> None:
    photos, _ = turning(4)
    with pytest.raises(
        ValueError, match=r"at least 5 photos, got 4; paint masks with 'fast3r mask"
    ):
        find_background(photos)


def test_photos_of_several_sizes_are_not_of_one_fixed_camera() -> None:
    photos, _ = turning(6)
    with pytest.raises(
        ValueError, match="photos of one size, got 2 sizes such as 120x100 and 160x"
    ):
        find_background([*photos, np.zeros((100, 120, 3), np.uint8)])
