from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.eth3d import Eth3d
from fast3r.data.frame import BrokenFrameError
from tests.datasets.evaluation_sets import shots, small_camera, write_eth3d, write_text

TAKEN = shots(3, small_camera(24, 36), 24, 36)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_eth3d(tmp_path, "courtyard", TAKEN)
    return tmp_path


def test_a_frame_is_what_was_photographed(root: Path) -> None:
    dataset = Eth3d(root)
    assert dataset.scenes == ("courtyard",)
    assert dataset.frames("courtyard") == ["DSC_0000.JPG", "DSC_0001.JPG", "DSC_0002.JPG"]
    frame = dataset.read("courtyard", "DSC_0001.JPG")
    np.testing.assert_allclose(frame.image, TAKEN[1].image, atol=6)
    assert frame.depth is not None
    assert frame.depth[0, 0] == 0
    np.testing.assert_allclose(frame.depth.ravel()[1:], TAKEN[1].depth_m.ravel()[1:], rtol=1e-6)
    np.testing.assert_allclose(frame.intrinsics, TAKEN[1].intrinsics)
    np.testing.assert_allclose(frame.world_from_camera, TAKEN[1].world_from_camera, atol=1e-9)


def test_a_pose_needs_no_photo(root: Path) -> None:
    (root / "courtyard" / "images" / "dslr_images" / "DSC_0002.JPG").unlink()
    pose = Eth3d(root).pose("courtyard", "DSC_0002.JPG")
    np.testing.assert_allclose(pose, TAKEN[2].world_from_camera, atol=1e-9)


def test_depth_of_another_size_is_refused(root: Path) -> None:
    path = root / "courtyard" / "ground_truth_depth" / "dslr_images" / "DSC_0000.JPG"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(BrokenFrameError, match=r"has 3452 bytes; expected 3456, for 36x24 px"):
        Eth3d(root).read("courtyard", "DSC_0000.JPG")


def test_a_photo_that_is_not_in_the_calibration_is_named(root: Path) -> None:
    with pytest.raises(BrokenFrameError, match=r"images.txt: has no photo DSC_9999.JPG"):
        Eth3d(root).read("courtyard", "DSC_9999.JPG")


def test_a_broken_calibration_is_named(root: Path) -> None:
    write_text(root / "courtyard" / "dslr_calibration_jpg" / "images.txt", "1 0 0", "")
    with pytest.raises(BrokenFrameError, match=r"images.txt: has the line '1 0 0'; expected an id"):
        Eth3d(root).frames("courtyard")


def test_the_undistorted_photos_alone_are_refused(root: Path) -> None:
    (root / "courtyard" / "dslr_calibration_jpg").rename(
        root / "courtyard" / "dslr_calibration_undistorted"
    )
    with pytest.raises(ValueError, match=r"not laid out as ETH3D(.|\n)*dslr_jpg.7z"):
        Eth3d(root)
