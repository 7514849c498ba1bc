from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.nrgbd import Nrgbd
from fast3r.data.frame import BrokenFrameError
from tests.datasets.evaluation_sets import NRGBD, shots, write_nrgbd

TAKEN = shots(3, NRGBD, 24, 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_nrgbd(tmp_path, TAKEN)
    return tmp_path


def test_a_frame_is_what_was_photographed_in_opencv_axes(root: Path) -> None:
    dataset = Nrgbd(root)
    assert dataset.scenes == ("breakfast_room",)
    assert dataset.frames("breakfast_room") == ["0", "1", "2"]
    frame = dataset.read("breakfast_room", "1")
    np.testing.assert_array_equal(frame.image, TAKEN[1].image)
    np.testing.assert_allclose(frame.depth, TAKEN[1].depth_m, atol=1e-6)
    np.testing.assert_allclose(frame.world_from_camera, TAKEN[1].world_from_camera)
    np.testing.assert_array_equal(frame.intrinsics, NRGBD)


def test_frames_whose_pose_is_not_a_number_are_left_out(root: Path) -> None:
    poses = root / "breakfast_room" / "poses.txt"
    rows = poses.read_text().splitlines()
    poses.write_text("\n".join([*rows[:4], *["nan nan nan nan"] * 4, *rows[8:]]))
    dataset = Nrgbd(root)
    assert dataset.frames("breakfast_room") == ["0", "2"]
    with pytest.raises(BrokenFrameError, match="has no pose of frame 1"):
        dataset.read("breakfast_room", "1")


def test_a_cut_file_of_poses_is_refused(root: Path) -> None:
    poses = root / "breakfast_room" / "poses.txt"
    poses.write_text("\n".join(poses.read_text().splitlines()[:-1]))
    with pytest.raises(BrokenFrameError, match="11 lines with 44 numbers; expected four lines"):
        Nrgbd(root).frames("breakfast_room")


def test_a_scene_without_depth_is_refused(root: Path) -> None:
    (root / "breakfast_room" / "depth").rename(root / "breakfast_room" / "depths")
    with pytest.raises(ValueError, match=r"not laid out as NRGBD(.|\n)*depth0.png"):
        Nrgbd(root)
