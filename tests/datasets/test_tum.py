from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.tum import Tum, associate
from fast3r.data.frame import BrokenFrameError
from tests.datasets.evaluation_sets import FREIBURG3, shots, write_text, write_tum

NAME = "rgbd_dataset_freiburg3_walking_xyz"
TAKEN = shots(3, FREIBURG3, 24, 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tum(tmp_path, NAME, TAKEN)
    return tmp_path


def test_a_frame_is_what_was_photographed(root: Path) -> None:
    dataset = Tum(root)
    assert dataset.scenes == (NAME,)
    frames = dataset.frames(NAME)
    assert frames == ["1341846313.000000", "1341846313.033333", "1341846313.066667"]
    frame = dataset.read(NAME, frames[1])
    np.testing.assert_array_equal(frame.image, TAKEN[1].image)
    np.testing.assert_allclose(frame.depth, TAKEN[1].depth_m, atol=2e-4)
    np.testing.assert_allclose(frame.intrinsics, FREIBURG3)
    np.testing.assert_allclose(frame.world_from_camera, TAKEN[1].world_from_camera, atol=1e-9)


def test_photos_without_a_pose_nearby_are_left_out(root: Path) -> None:
    truth = root / NAME / "groundtruth.txt"
    lines = truth.read_text().splitlines()
    write_text(truth, lines[1], lines[5])
    assert len(Tum(root).frames(NAME)) == 2


def test_the_closest_times_go_together_and_none_twice() -> None:
    assert associate(["1.00", "1.01"], ["1.009", "1.025", "9.0"]) == {"1.01": "1.009"}
    assert associate(["1.00", "2.00"], ["2.02001", "1.019"]) == {"1.00": "1.019"}


def test_a_photo_without_depth_nearby_has_none(root: Path) -> None:
    write_text(root / NAME / "depth.txt", "# depth maps")
    dataset = Tum(root)
    assert dataset.read(NAME, dataset.frames(NAME)[0]).depth is None


def test_lists_that_share_no_time_are_refused(root: Path) -> None:
    write_text(root / NAME / "groundtruth.txt", "17.0 0 0 0 0 0 0 1")
    with pytest.raises(BrokenFrameError, match=r"none of its 3 photos was taken within 0.02 s"):
        Tum(root).frames(NAME)


def test_a_short_line_is_named(root: Path) -> None:
    write_text(root / NAME / "groundtruth.txt", "1341846313.0 0 0 0")
    with pytest.raises(BrokenFrameError, match="expected a time and 7 more"):
        Tum(root).frames(NAME)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not laid out as TUM RGB-D(.|\n)*groundtruth.txt"):
        Tum(tmp_path)
