from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.scannet import ScanNet
from fast3r.data.frame import BrokenFrameError
from tests.datasets.evaluation_sets import shots, small_camera, write_matrix, write_scannet
from tests.datasets.wall import write_photo

TAKEN = shots(12, small_camera(24, 32), 24, 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_scannet(tmp_path, "scene0707_00", TAKEN)
    return tmp_path


def test_a_frame_is_what_was_photographed_at_the_size_of_its_depth(root: Path) -> None:
    dataset = ScanNet(root)
    assert dataset.scenes == ("scene0707_00",)
    frame = dataset.read("scene0707_00", "11")
    np.testing.assert_allclose(frame.image, TAKEN[11].image, atol=6)
    np.testing.assert_allclose(frame.depth, TAKEN[11].depth_m, atol=1e-6)
    np.testing.assert_allclose(frame.intrinsics, TAKEN[11].intrinsics)
    np.testing.assert_allclose(frame.world_from_camera, TAKEN[11].world_from_camera)


def test_frames_come_by_number_without_those_that_lost_track(root: Path) -> None:
    write_matrix(root / "scene0707_00" / "pose" / "1.txt", np.full((4, 4), -np.inf))
    frames = ScanNet(root).frames("scene0707_00")
    assert frames == ["0", *(str(number) for number in range(2, 12))]


def test_a_frame_without_any_depth_still_has_its_pose(root: Path) -> None:
    write_photo(root / "scene0707_00" / "depth" / "0.png", np.zeros((24, 32), np.uint16))
    assert ScanNet(root).read("scene0707_00", "0").depth is None


def test_a_scene_without_any_pose_is_named(root: Path) -> None:
    for path in root.glob("scene0707_00/pose/*.txt"):
        write_matrix(path, np.full((4, 4), -np.inf))
    with pytest.raises(BrokenFrameError, match="none of its 12 photos has a finite pose"):
        ScanNet(root).frames("scene0707_00")


def test_a_download_that_was_not_exported_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scene0707_00").mkdir()
    (tmp_path / "scene0707_00" / "scene0707_00.sens").write_bytes(b"")
    with pytest.raises(ValueError, match=r"not laid out as ScanNet(.|\n)*SensReader"):
        ScanNet(tmp_path)
