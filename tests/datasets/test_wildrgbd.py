import json
from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.wildrgbd import WildRgbd
from fast3r.data.frame import BrokenFrameError
from tests.datasets.wall import assert_same, photograph_wall, write_millimetres, write_photo

SHOE = "shoe/scenes/scene_012"


def write_frame(folder: Path, number: int) -> None:
    """Write what preprocess_wildrgbd.py leaves of a frame: the object is in the left half."""
    shot = photograph_wall(number)
    name = f"{number:05d}"
    write_photo(folder / "rgb" / f"{name}.jpg", shot.image)
    write_millimetres(folder / "depth" / f"{name}.png", shot.depth_m)
    mask = np.zeros(shot.depth_m.shape, np.uint8)
    mask[:, :8] = 255
    write_photo(folder / "masks" / f"{name}.png", mask)
    (folder / "metadata").mkdir(exist_ok=True)
    np.savez(
        folder / "metadata" / f"{name}.npz",
        camera_intrinsics=shot.integer_centred,
        camera_pose=shot.world_from_camera,
    )


def write_wildrgbd(root: Path) -> None:
    index = {"shoe": {"scenes/scene_012": list(range(0, 60, 3))}, "train": {}}
    for split in ("train", "test"):
        (root / f"selected_seqs_{split}.json").write_text(json.dumps(index))
    for number in (0, 3):
        write_frame(root / SHOE, number)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_wildrgbd(tmp_path)
    return tmp_path


@pytest.mark.parametrize("number", [0, 3])
def test_a_frame_is_read_as_it_was_taken(root: Path, number: int) -> None:
    frame = WildRgbd(root, mask_background=False).read(SHOE, f"{number:05d}")
    assert frame.name == f"{number:05d}"
    assert (frame.depth > 0).all()
    assert_same(frame, photograph_wall(number), depth_tolerance_m=1e-3)


def test_scenes_are_paths_below_the_root(root: Path) -> None:
    dataset = WildRgbd(root, split="test")
    assert dataset.scenes == (SHOE,)
    assert dataset.frames(SHOE)[:2] == ["00000", "00003"]


def test_depth_is_unknown_off_the_object(root: Path) -> None:
    depth = WildRgbd(root).read(SHOE, "00003").depth
    assert (depth[:, :8] > 0).all()
    assert (depth[:, 8:] == 0).all()


def test_draws_differ_and_repeat_with_the_dice(root: Path) -> None:
    dataset = WildRgbd(root)
    draws = [tuple(dataset.draw(SHOE, 6, np.random.default_rng(seed))) for seed in range(50)]
    assert len({frozenset(names) for names in draws}) > 45
    assert draws[7] == tuple(dataset.draw(SHOE, 6, np.random.default_rng(7)))
    assert all(set(names) <= set(dataset.frames(SHOE)) for names in draws)


@pytest.mark.parametrize(
    "file", ["rgb/00003.jpg", "metadata/00003.npz", "depth/00003.png", "masks/00003.png"]
)
def test_a_broken_file_is_named(root: Path, file: str) -> None:
    (root / SHOE / file).write_bytes(b"\x00" * 10)
    with pytest.raises(BrokenFrameError, match=file):
        WildRgbd(root).read(SHOE, "00003")


def test_a_frame_whose_object_has_no_depth_is_broken(root: Path) -> None:
    write_photo(root / SHOE / "masks/00003.png", np.zeros((12, 16), np.uint8))
    with pytest.raises(BrokenFrameError, match=r"metadata.00003\.npz"):
        WildRgbd(root).read(SHOE, "00003")


def test_a_wrong_root_is_refused_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)WildRGB-D.*selected_seqs_train\.json.*an empty"):
        WildRgbd(tmp_path)
