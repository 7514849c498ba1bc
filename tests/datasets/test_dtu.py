from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.dtu import Dtu
from fast3r.data.frame import BrokenFrameError
from tests.datasets.evaluation_sets import shots, small_camera, write_dtu
from tests.datasets.wall import write_photo

TAKEN = shots(3, small_camera(48, 64), 48, 64)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_dtu(tmp_path, "scan1", TAKEN)
    return tmp_path


def test_a_frame_is_what_was_photographed_in_millimetres(root: Path) -> None:
    dataset = Dtu(root)
    assert dataset.scenes == ("scan1",)
    assert dataset.frames("scan1") == ["00000000", "00000001", "00000002"]
    frame = dataset.read("scan1", "00000001")
    assert frame.depth is not None
    known = frame.depth > 0
    np.testing.assert_allclose(frame.depth[known], 1000 * TAKEN[1].depth_m[known], rtol=1e-6)
    np.testing.assert_allclose(frame.intrinsics, TAKEN[1].intrinsics, atol=1e-9)
    pose = TAKEN[1].world_from_camera
    np.testing.assert_allclose(frame.world_from_camera[:3, :3], pose[:3, :3], atol=1e-9)
    np.testing.assert_allclose(frame.world_from_camera[:3, 3], 1000 * pose[:3, 3], atol=1e-6)


def test_only_test_scans_are_scenes(root: Path) -> None:
    write_dtu(root, "scan2", TAKEN[:1])
    write_dtu(root, "scan114", TAKEN[:1])
    assert Dtu(root).scenes == ("scan1", "scan114")


def test_masks_are_eroded_by_ten_pixels(root: Path) -> None:
    mask = np.full((48, 64), 255, np.uint8)
    mask[20, 30] = 0
    write_photo(root / "scan1" / "binary_masks" / "00000000.png", mask)
    depth = Dtu(root).read("scan1", "00000000").depth
    rows, columns = np.nonzero(depth == 0)
    # A square that reaches 5 px up and left and 4 px down and right of a pixel holds the hole.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 25, 26, 35)
    assert len(rows) == 100


def test_depth_of_mvsnet_needs_no_masks(root: Path) -> None:
    depth = np.full((48, 64), 700, "<f4")
    depth[0, 0] = 0
    (root / "scan1" / "depths" / "00000000.npy").unlink()
    (root / "scan1" / "binary_masks" / "00000000.png").unlink()
    pixels = depth[::-1].tobytes()
    (root / "scan1" / "depths" / "00000000.pfm").write_bytes(b"Pf\n64 48\n-1.0\n" + pixels)
    np.testing.assert_array_equal(Dtu(root).read("scan1", "00000000").depth, depth)


def test_rendered_depth_without_its_mask_is_refused(root: Path) -> None:
    (root / "scan1" / "binary_masks" / "00000000.png").unlink()
    with pytest.raises(BrokenFrameError, match=r"binary_masks/00000000.png.*expected a mask"):
        Dtu(root).read("scan1", "00000000")


def test_overlapping_frames_come_the_best_first(root: Path) -> None:
    assert Dtu(root).overlapping("scan1", "00000001") == ["00000000", "00000002"]


def test_a_frame_that_is_not_in_the_list_of_pairs_is_named(root: Path) -> None:
    with pytest.raises(BrokenFrameError, match=r"pair.txt: lists no frames for 00000007"):
        Dtu(root).overlapping("scan1", "00000007")


def test_a_camera_file_of_another_kind_is_refused(root: Path) -> None:
    (root / "scan1" / "cams" / "00000000_cam.txt").write_text("intrinsic\n1 0 0\n")
    with pytest.raises(BrokenFrameError, match="expected 'extrinsic', 16 numbers"):
        Dtu(root).read("scan1", "00000000")


def test_the_bare_test_set_of_mvsnet_is_refused_with_what_is_missing(root: Path) -> None:
    (root / "scan1" / "depths").rename(root / "scan1" / "none")
    with pytest.raises(ValueError, match=r"not laid out as DTU(.|\n)*Spann3R"):
        Dtu(root)
