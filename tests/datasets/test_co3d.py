import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.co3d import Co3d
from fast3r.data.frame import BrokenFrameError
from tests.datasets.wall import assert_same, photograph_wall, write_photo

APPLE = "apple/110_13051_23361"
CAR = "car/194_20878_42510"


def write_frame(folder: Path, number: int) -> None:
    """Write what preprocess_co3d.py leaves of a frame: the object is in the left half."""
    shot = photograph_wall(number)
    name = f"frame{number:06d}"
    maximum = np.float32(shot.depth_m.max())
    write_photo(folder / "images" / f"{name}.jpg", shot.image)
    write_photo(
        folder / "depths" / f"{name}.jpg.geometric.png",
        (shot.depth_m / maximum * 65535).astype(np.uint16),
    )
    mask = np.zeros(shot.depth_m.shape, np.uint8)
    mask[:, :8] = 255
    mask[:, 8] = 25
    write_photo(folder / "masks" / f"{name}.png", mask)
    np.savez(
        folder / "images" / f"{name}.npz",
        camera_intrinsics=shot.integer_centred,
        camera_pose=shot.world_from_camera.astype(np.float32),
        maximum_depth=maximum,
    )


def write_index(root: Path, split: str, content: object) -> None:
    (root / f"selected_seqs_{split}.json").write_text(json.dumps(content))


def write_co3d(root: Path) -> None:
    write_index(
        root,
        "train",
        {
            "car": {CAR.split("/")[1]: list(range(1, 31)), "101_1_2": []},
            "apple": {APPLE.split("/")[1]: [4, 2, 3, 2]},
            "tv": {},
        },
    )
    for number in (2, 3, 4):
        write_frame(root / APPLE, number)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_co3d(tmp_path)
    return tmp_path


def test_scenes_are_the_listed_sequences_that_have_frames(root: Path) -> None:
    assert Co3d(root).scenes == (APPLE, CAR)


def test_frames_are_in_order_of_capture(root: Path) -> None:
    assert Co3d(root).frames(APPLE) == ["frame000002", "frame000003", "frame000004"]


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_frame_is_read_as_it_was_taken(root: Path, number: int) -> None:
    frame = Co3d(root, mask_background=False).read(APPLE, f"frame{number:06d}")
    assert frame.name == f"frame{number:06d}"
    assert (frame.depth > 0).all()
    assert_same(frame, photograph_wall(number), depth_tolerance_m=1e-3)


def test_depth_is_unknown_off_the_object(root: Path) -> None:
    frame = Co3d(root).read(APPLE, "frame000003")
    assert (frame.depth[:, :8] > 0).all()
    assert (frame.depth[:, 8:] == 0).all()
    assert_same(frame, photograph_wall(3), depth_tolerance_m=1e-3)


def test_masks_need_not_be_there_if_the_background_is_kept(root: Path) -> None:
    (root / APPLE / "masks/frame000003.png").unlink()
    assert (Co3d(root, mask_background=False).read(APPLE, "frame000003").depth > 0).all()


def test_equal_dice_draw_equal_frames(root: Path) -> None:
    dataset = Co3d(root)
    first, second = (dataset.draw(CAR, 8, np.random.default_rng(5)) for _ in range(2))
    assert first == second


def test_every_draw_takes_other_frames(root: Path) -> None:
    dataset, dice = Co3d(root), np.random.default_rng(0)
    draws = [tuple(dataset.draw(CAR, 5, dice)) for _ in range(200)]
    assert len({frozenset(names) for names in draws}) > 190
    assert all(len(set(names)) == 5 for names in draws)
    assert {names[0] for names in draws} == set(dataset.frames(CAR))


def test_frames_from_all_around_the_object_go_together(root: Path) -> None:
    dataset, dice = Co3d(root), np.random.default_rng(0)
    places = [int(name[5:]) for name in dataset.draw(CAR, 15, dice)]
    assert max(places) - min(places) > 15


def test_frames_repeat_only_where_there_are_too_few(root: Path) -> None:
    drawn = Co3d(root).draw(APPLE, 7, np.random.default_rng(0))
    assert sorted(drawn.count(name) for name in set(drawn)) == [2, 2, 3]


@pytest.mark.parametrize(
    "file",
    [
        "images/frame000003.jpg",
        "images/frame000003.npz",
        "depths/frame000003.jpg.geometric.png",
        "masks/frame000003.png",
    ],
)
def test_a_missing_file_is_named(root: Path, file: str) -> None:
    (root / APPLE / file).unlink()
    with pytest.raises(BrokenFrameError, match=file):
        Co3d(root).read(APPLE, "frame000003")


@pytest.mark.parametrize("maximum", [np.nan, 0, np.inf])
def test_a_frame_without_depth_is_broken(root: Path, maximum: float) -> None:
    path = root / APPLE / "images/frame000003.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, "maximum_depth": np.float32(maximum)})
    with pytest.raises(BrokenFrameError, match=r"frame000003\.npz: maximum_depth is .* above 0"):
        Co3d(root).read(APPLE, "frame000003")


def test_a_mask_of_another_size_is_broken(root: Path) -> None:
    write_photo(root / APPLE / "masks/frame000003.png", np.full((6, 8), 255, np.uint8))
    with pytest.raises(BrokenFrameError, match=r"masks.frame000003\.png: has 8x6 px; .* 16x12"):
        Co3d(root).read(APPLE, "frame000003")


def test_a_wrong_root_is_refused_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "apple").mkdir()
    with pytest.raises(ValueError, match=r"(?s)CO3Dv2.*selected_seqs_test\.json.*found:\s+apple/"):
        Co3d(tmp_path, split="test")


@pytest.mark.parametrize("content", [{"apple": [1, 2]}, {"apple": {"1_2_3": "all"}}, {"apple": 3}])
def test_an_index_of_another_form_is_refused(tmp_path: Path, content: object) -> None:
    write_index(tmp_path, "train", content)
    with pytest.raises(ValueError, match=r"selected_seqs_train\.json: .*sequence: \[frame"):
        Co3d(tmp_path)


def test_an_index_without_frames_is_refused(tmp_path: Path) -> None:
    write_index(tmp_path, "train", {"apple": {}})
    with pytest.raises(ValueError, match=r"selected_seqs_train\.json lists no frames"):
        Co3d(tmp_path)


def test_a_copy_in_another_process_reads_the_same(root: Path) -> None:
    dataset = Co3d(root)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy == dataset
    assert copy.scenes == dataset.scenes
