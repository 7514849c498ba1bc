from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.re10k import Re10k
from fast3r.data.frame import BrokenFrameError
from tests.datasets.evaluation_sets import shots, small_camera, write_re10k, write_text

CLIP = "0000cc6d8b108390"
TAKEN = shots(3, small_camera(18, 32), 18, 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_re10k(tmp_path, CLIP, TAKEN)
    return tmp_path


@pytest.mark.parametrize("photos", ["frames", "videos", "."])
def test_a_frame_is_what_was_photographed(tmp_path: Path, photos: str) -> None:
    write_re10k(tmp_path, CLIP, TAKEN, photos=photos)
    dataset = Re10k(tmp_path)
    assert dataset.scenes == (CLIP,)
    assert dataset.frames(CLIP) == ["0", "100100", "200200"]
    frame = dataset.read(CLIP, "100100")
    np.testing.assert_allclose(frame.image, TAKEN[1].image, atol=6)
    assert frame.depth is None
    np.testing.assert_allclose(frame.intrinsics, TAKEN[1].intrinsics)
    np.testing.assert_allclose(frame.world_from_camera, TAKEN[1].world_from_camera, atol=1e-9)


def test_frames_that_were_not_cut_from_the_video_are_left_out(root: Path) -> None:
    (root / "frames" / "test" / CLIP / "100100.jpg").unlink()
    assert Re10k(root).frames(CLIP) == ["0", "200200"]


def test_a_list_chooses_clips_and_those_without_photos_are_known(root: Path) -> None:
    write_re10k(root, "another", TAKEN)
    write_text(root / "list.txt", CLIP, "vanished", "")
    dataset = Re10k(root, clips=root / "list.txt")
    assert dataset.scenes == (CLIP,)
    assert dataset.missing == ("vanished",)


def test_a_list_of_other_clips_is_refused(root: Path) -> None:
    write_text(root / "list.txt", "vanished")
    with pytest.raises(ValueError, match="none of its 1 clips is in"):
        Re10k(root, clips=root / "list.txt")


def test_photos_of_other_names_are_refused(root: Path) -> None:
    for place, path in enumerate(sorted((root / "frames" / "test" / CLIP).iterdir())):
        path.rename(path.with_name(f"{place:04}.jpg"))
    (root / "frames" / "test" / CLIP / "0000.jpg").rename(root / "frames" / "test" / CLIP / "a.jpg")
    with pytest.raises(BrokenFrameError, match=r"no photo of the 3 frames .* such as 0.jpg"):
        Re10k(root).frames(CLIP)


def test_a_line_of_another_length_is_named(root: Path) -> None:
    write_text(root / "test" / f"{CLIP}.txt", "link", "0 1 2 3")
    with pytest.raises(BrokenFrameError, match="a line of 4 words; expected 19"):
        Re10k(root).frames(CLIP)


def test_cameras_without_photos_are_refused(tmp_path: Path) -> None:
    write_text(tmp_path / "test" / f"{CLIP}.txt", "link")
    with pytest.raises(ValueError, match=r"not laid out as RealEstate10K(.|\n)*frames/test"):
        Re10k(tmp_path)
