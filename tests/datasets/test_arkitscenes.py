from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.arkitscenes import ArkitScenes
from fast3r.data.frame import BrokenFrameError
from tests.datasets.indoor import write_all_metadata, write_scene_metadata
from tests.datasets.wall import assert_same, photograph_wall, write_millimetres, write_photo

SCENE = "48458481"
# Seconds gain a digit during this video: sorted as text, the second half would come first.
NAMES = [f"{SCENE}_{9998 + 0.1 * number:.3f}.png" for number in range(60)]


def write_frame(folder: Path, place: int, name: str) -> None:
    shot = photograph_wall(place)
    stem = name.removesuffix(".png")
    write_photo(folder / "vga_wide" / f"{stem}.jpg", shot.image)
    write_millimetres(folder / "lowres_depth" / f"{stem}.png", shot.depth_m)


def six_numbers(intrinsics: np.ndarray) -> np.ndarray:
    """Return a line of a .pincam file: size, focal lengths, principal point."""
    return np.array([16, 12, *intrinsics[[0, 1], [0, 1]], *intrinsics[[0, 1], [2, 2]]])


def write_arkitscenes(root: Path) -> None:
    """Write what preprocess_arkitscenes.py leaves of a training scene."""
    training = root / "Training"
    listed = NAMES[::-1]
    shots = [photograph_wall(place % 10) for place in range(len(listed))]
    write_scene_metadata(
        training / SCENE,
        listed,
        [six_numbers(shot.intrinsics) for shot in shots],
        [shot.world_from_camera for shot in shots],
    )
    for name in (NAMES[0], NAMES[33]):
        write_frame(training / SCENE, listed.index(name) % 10, name)
    write_all_metadata(training, {SCENE: listed, "40753679": ["40753679_6790.505.png"]})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_arkitscenes(tmp_path)
    return tmp_path


def test_scenes_are_those_of_the_split(root: Path) -> None:
    (root / "Test").mkdir()
    write_all_metadata(root / "Test", {"41048190": ["41048190_3410.117.png"]})
    assert ArkitScenes(root).scenes == ("40753679", SCENE)
    assert ArkitScenes(root, split="test").scenes == ("41048190",)


def test_frames_are_in_order_of_time(root: Path) -> None:
    assert ArkitScenes(root).frames(SCENE) == NAMES


@pytest.mark.parametrize("name", [NAMES[0], NAMES[33]])
def test_a_frame_is_read_as_it_was_taken(root: Path, name: str) -> None:
    frame = ArkitScenes(root).read(SCENE, name)
    assert frame.name == name
    assert (frame.depth > 0).all()
    place = NAMES[::-1].index(name) % 10
    assert_same(frame, photograph_wall(place), depth_tolerance_m=1e-3)


def test_views_are_close_in_time(root: Path) -> None:
    dataset, dice = ArkitScenes(root), np.random.default_rng(0)
    draws = [dataset.draw(SCENE, 4, dice) for _ in range(200)]
    for names in draws:
        places = [NAMES.index(name) for name in names]
        assert len(set(places)) == 4
        assert max(places) - min(places) < 20
    assert len({frozenset(names) for names in draws}) > 190


def test_equal_dice_draw_equal_frames(root: Path) -> None:
    dataset = ArkitScenes(root)
    first, second = (dataset.draw(SCENE, 6, np.random.default_rng(5)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    "file", ["vga_wide/48458481_9998.000.jpg", "lowres_depth/48458481_9998.000.png"]
)
def test_a_missing_file_is_named(root: Path, file: str) -> None:
    (root / "Training" / SCENE / file).unlink()
    with pytest.raises(BrokenFrameError, match=file):
        ArkitScenes(root).read(SCENE, NAMES[0])


def test_intrinsics_of_another_form_are_broken(root: Path) -> None:
    folder = root / "Training" / "40753679"
    name = "40753679_6790.505.png"
    write_frame(folder, 0, name)
    write_scene_metadata(folder, [name], [np.eye(3)], [np.eye(4)])
    with pytest.raises(BrokenFrameError, match=r"scene_metadata\.npz: .* 6 numbers a frame"):
        ArkitScenes(root).read("40753679", name)


def test_a_wrong_root_is_refused_with_what_is_there(root: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)ARKitScenes.*Test.all_metadata\.npz.*Training/"):
        ArkitScenes(root, split="test")
