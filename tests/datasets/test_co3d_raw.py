from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.co3d_raw import Co3dRaw
from fast3r.data.frame import BrokenFrameError
from tests.datasets.evaluation_sets import shots, write_co3d_raw, write_gzip

CAMERA = np.array([[40.0, 0, 15], [0, 41, 25], [0, 0, 1]])
TAKEN = shots(3, CAMERA, 48, 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_co3d_raw(tmp_path, "apple", {"110_13051_23361": TAKEN})
    write_co3d_raw(tmp_path, "kite", {"1_2_3": TAKEN[:1]})
    return tmp_path


def test_scenes_are_the_test_sequences_with_good_cameras(root: Path) -> None:
    assert Co3dRaw(root).scenes == ("apple/110_13051_23361", "kite/1_2_3")


def test_a_frame_is_what_was_photographed_in_opencv_axes(root: Path) -> None:
    dataset = Co3dRaw(root)
    frames = dataset.frames("apple/110_13051_23361")
    assert frames == ["frame000001", "frame000002", "frame000003"]
    frame = dataset.read("apple/110_13051_23361", frames[1])
    np.testing.assert_allclose(frame.image, TAKEN[1].image, atol=6)
    np.testing.assert_allclose(frame.intrinsics, CAMERA)
    np.testing.assert_allclose(frame.world_from_camera, TAKEN[1].world_from_camera, atol=1e-9)


def test_a_category_without_annotations_is_named(root: Path) -> None:
    (root / "apple" / "sequence_annotations.jgz").unlink()
    with pytest.raises(BrokenFrameError, match=r"sequence_annotations.jgz.*expected JSON"):
        Co3dRaw(root)


def test_a_frame_that_is_not_annotated_is_named(root: Path) -> None:
    write_gzip(root / "apple" / "frame_annotations.jgz", [])
    with pytest.raises(BrokenFrameError, match=r"has no frame frame000001 of 110_13051"):
        Co3dRaw(root).read("apple/110_13051_23361", "frame000001")


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not laid out as CO3Dv2(.|\n)*fewview_dev"):
        Co3dRaw(tmp_path)
