from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast3r.views.decode import UnreadablePhotoError
from fast3r.views.masks import check_mask, find_masks, read_mask
from fast3r.views.resize import plan_resize
from fast3r.views.sources import PhotoFile

from .pictures import UNTURNS, save_all, save_turned

PLAN = plan_resize(96, 128, size=128)


def photos(*names: str) -> list[PhotoFile]:
    return [PhotoFile(name, Path(name)) for name in names]


def corner(height: int = 96, width: int = 128) -> np.ndarray:
    """Return a mask that keeps the top-left eighth."""
    keep = np.zeros((height, width), bool)
    keep[: height // 4, : width // 2] = True
    return keep


def save(path: Path, keep: np.ndarray, white: int = 255, mode: str = "L") -> Path:
    Image.fromarray(keep.astype(np.uint8) * white).convert(mode).save(path)
    return path


@pytest.mark.parametrize("mask", ["a.png", "a.jpg", "a.jpg.png"])
def test_a_mask_is_named_like_its_photo(tmp_path: Path, mask: str) -> None:
    save_all(tmp_path, mask)
    assert find_masks(tmp_path, photos("a.jpg"))[0].mask_path == tmp_path / mask


def test_masks_of_photos_in_folders_lie_in_folders(tmp_path: Path) -> None:
    save_all(tmp_path, "left/1.png", "right/1.png")
    found = find_masks(tmp_path, photos("right/1.jpg", "left/1.jpg"))
    assert [photo.mask_path for photo in found] == [
        tmp_path / "right" / "1.png",
        tmp_path / "left" / "1.png",
    ]


def test_photos_without_a_mask_are_used_whole(tmp_path: Path) -> None:
    save_all(tmp_path, "a.png")
    assert find_masks(tmp_path, photos("a.jpg", "b.jpg"))[1].mask_path is None


def test_masks_that_match_nothing_are_an_error_that_names_both(tmp_path: Path) -> None:
    save_all(tmp_path, "x.png", "y.png")
    with pytest.raises(ValueError, match=rf"none of the 2 masks in {tmp_path}.*photos/a\.jpg"):
        find_masks(tmp_path, [PhotoFile("a.jpg", Path("photos/a.jpg"))])


def test_two_masks_of_one_name_are_an_error(tmp_path: Path) -> None:
    save_all(tmp_path, "a.png", "a.jpg")
    with pytest.raises(ValueError, match=r"two masks have one name: .*a\.jpg and .*a\.png"):
        find_masks(tmp_path, photos("a.jpg"))


def test_a_folder_of_masks_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="masks must be a folder"):
        find_masks(tmp_path / "nowhere", photos("a.jpg"))


@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "I;16", "P"])
def test_whatever_is_not_zero_is_kept(tmp_path: Path, white: int, mode: str) -> None:
    path = save(tmp_path / "m.png", corner(), white, mode)
    assert np.array_equal(read_mask(path, PLAN, 1), corner())


def test_what_a_mask_leaves_transparent_is_not_kept(tmp_path: Path) -> None:
    values = np.full((96, 128, 4), 255, np.uint8)
    values[..., 3] = corner() * 255
    Image.fromarray(values).save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png", PLAN, 1), corner())


@pytest.mark.parametrize("factor", [0.25, 2, 7])
def test_masks_of_other_size_are_resized(tmp_path: Path, factor: float) -> None:
    path = save(tmp_path / "m.png", corner(int(96 * factor), int(128 * factor)))
    assert np.array_equal(read_mask(path, PLAN, 1), corner())


def test_masks_are_cropped_like_their_photos(tmp_path: Path) -> None:
    keep = np.zeros((100, 128), bool)
    keep[50:] = True
    kept = read_mask(save(tmp_path / "m.png", keep), plan_resize(100, 128, size=128), 1)
    assert kept.shape == (96, 128)
    assert kept[48:].all()
    assert not kept[:48].any()


def test_a_mask_drawn_on_the_stored_pixels_is_turned_with_its_photo(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    upright = Image.fromarray(corner().astype(np.uint8) * 255)
    upright.transpose(UNTURNS[6]).save(path)
    assert np.array_equal(read_mask(path, PLAN, 6), corner())


def test_a_mask_with_an_orientation_of_its_own_is_turned_by_it(tmp_path: Path) -> None:
    save_turned(Image.fromarray(corner().astype(np.uint8) * 255), tmp_path / "m.png", 3)
    assert np.array_equal(read_mask(tmp_path / "m.png", PLAN, 1), corner())


@pytest.mark.parametrize("use", [check_mask, read_mask])
def test_a_mask_of_another_shape_is_refused(tmp_path: Path, use: Callable[..., object]) -> None:
    path = save(tmp_path / "m.png", corner(100, 100))
    message = r"mask m\.png cannot be used: its shape of 100x100 px is not the photo's of 128x96 px"
    with pytest.raises(UnreadablePhotoError, match=message):
        use(path, PLAN, 1)


@pytest.mark.parametrize("use", [check_mask, read_mask])
def test_a_broken_mask_is_refused(tmp_path: Path, use: Callable[..., object]) -> None:
    path = save(tmp_path / "m.png", corner())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadablePhotoError, match=r"mask m\.png cannot be used: the file is cut"):
        use(path, PLAN, 1)
