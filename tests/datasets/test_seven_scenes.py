from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.seven_scenes import SevenScenes
from fast3r.data.frame import BrokenFrameError
from tests.datasets.evaluation_sets import KINECT, shots, write_seven_scenes, write_text
from tests.datasets.wall import write_photo

TAKEN = shots(2, KINECT, 24, 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_seven_scenes(tmp_path, 3, TAKEN)
    return tmp_path


def test_scenes_are_the_sequences_of_the_test_split(root: Path) -> None:
    assert SevenScenes(root).scenes == ("chess/seq-03",)


def test_frames_come_in_order_of_capture(root: Path) -> None:
    assert SevenScenes(root).frames("chess/seq-03") == ["frame-000000", "frame-000001"]


def test_a_frame_is_what_was_photographed(root: Path) -> None:
    frame = SevenScenes(root).read("chess/seq-03", "frame-000001")
    np.testing.assert_array_equal(frame.image, TAKEN[1].image)
    np.testing.assert_allclose(frame.depth, TAKEN[1].depth_m, atol=1e-6)
    np.testing.assert_allclose(frame.world_from_camera, TAKEN[1].world_from_camera)
    np.testing.assert_array_equal(frame.intrinsics, KINECT)


def test_depth_beyond_ten_metres_is_unknown(root: Path) -> None:
    stored = np.full((24, 32), 2000, np.uint16)
    stored[0, :3] = 65535, 10001, 0
    write_photo(root / "chess/seq-03/frame-000000.depth.proj.png", stored)
    frame = SevenScenes(root).read("chess/seq-03", "frame-000000")
    assert frame.depth is not None
    np.testing.assert_array_equal(frame.depth[0, :4], [0, 0, 0, 2])


def test_a_download_without_projected_depth_is_refused_with_the_way_out(root: Path) -> None:
    for path in root.glob("chess/seq-03/*.depth.proj.png"):
        path.rename(str(path).replace(".proj", ""))
    with pytest.raises(ValueError, match=r"frame-000000.depth.png") as refused:
        SevenScenes(root)
    assert "SimpleRecon" in str(refused.value)


def test_a_listed_sequence_without_a_folder_is_refused(root: Path) -> None:
    write_text(root / "chess" / "TestSplit.txt", "sequence1")
    with pytest.raises(ValueError, match=r"seq-01 is not laid out .*(.|\n)*no such folder"):
        SevenScenes(root)


def test_another_folder_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not laid out as 7-Scenes(.|\n)*TestSplit.txt"):
        SevenScenes(tmp_path)


def test_a_pose_that_is_no_matrix_is_named(root: Path) -> None:
    (root / "chess/seq-03/frame-000000.pose.txt").write_text("1 2 3\n")
    with pytest.raises(BrokenFrameError, match=r"pose.txt: has 3 numbers; expected 16"):
        SevenScenes(root).read("chess/seq-03", "frame-000000")
