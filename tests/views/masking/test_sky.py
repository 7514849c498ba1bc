"""Finding the sky in photos."""

import numpy as np
import pytest

from fast3r.views.masking.sky import sky_mask

GROUND = (70, 80, 40)
SKIES = {"blue": (110, 160, 235), "pale": (200, 215, 235), "overcast": (225, 226, 228)}


def landscape(
    sky: tuple[int, int, int], *, height: int = 120, width: int = 160, horizon: int = 60
) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 3, (height, width, 3))
    photo = np.empty((height, width, 3))
    photo[:horizon], photo[horizon:] = sky, GROUND
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sky", SKIES.values(), ids=SKIES.keys())
@pytest.mark.parametrize("size", [(120, 160), (384, 512), (511, 383)], ids=str)
def test_the_sky_ends_at_the_horizon(sky: tuple[int, int, int], size: tuple[int, int]) -> None:
    height, width = size
    mask = sky_mask(landscape(sky, height=height, width=width, horizon=height // 2))
    truth = np.zeros(size, dtype=bool)
    truth[: height // 2] = True
    assert (mask != truth).mean() < 0.01


def test_a_roof_that_stands_into_the_sky_is_kept() -> None:
    photo = landscape(SKIES["blue"])
    photo[20:60, 60:100] = (150, 60, 50)
    mask = sky_mask(photo)
    assert not mask[24:60, 64:96].any()
    assert mask[:16].all()


def test_what_does_not_reach_the_upper_edge_is_no_sky() -> None:
    photo = landscape(GROUND)
    photo[40:100, 40:120] = SKIES["blue"]
    assert not sky_mask(photo).any()


def test_a_strip_at_the_upper_edge_is_too_small() -> None:
    photo = landscape(GROUND)
    photo[0, :5] = SKIES["blue"]
    assert not sky_mask(photo).any()


def test_texture_of_the_colour_of_the_sky_is_no_sky() -> None:
    photo = landscape(GROUND)
    checks = (np.indices((60, 160)) // 4).sum(axis=0) % 2
    photo[:60] = np.where(checks[..., None], (255, 255, 255), (170, 172, 175))
    assert sky_mask(photo)[:60].mean() < 0.2


def test_a_sky_on_both_sides_of_a_tower_is_found_twice() -> None:
    photo = landscape(SKIES["pale"])
    photo[:60, 75:85] = (90, 60, 50)
    mask = sky_mask(photo)
    assert mask[:56, :70].all()
    assert mask[:56, 90:].all()
    assert not mask[:56, 77:83].any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3)], ids=str)
def test_tiny_photos_are_judged_too(shape: tuple[int, int]) -> None:
    photo = np.broadcast_to(np.array(SKIES["blue"], np.uint8), (*shape, 3))
    assert sky_mask(photo).shape == shape
