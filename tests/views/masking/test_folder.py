"""Which mask belongs to which photo, and reading it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fast3r.views.decode import UnreadablePhotoError
from fast3r.views.load import load_views
from fast3r.views.masking.folder import MaskFolder, check_kept, read_mask
from fast3r.views.sources import PhotoFile
from tests.views.pictures import UNTURNS, noise, save_all, save_turned

SIZE = (128, 96)


def of(path: Path, keeps: str = "white") -> PhotoFile:
    """Return a photo with this mask."""
    return PhotoFile("photo", Path("photo"), path, mask_keeps=keeps)


def kept(path: Path, orientation: int = 1, keeps: str = "white") -> np.ndarray:
    mask = read_mask(of(path, keeps), SIZE, orientation)
    assert mask is not None
    return np.asarray(mask.resize(SIZE, Image.Resampling.NEAREST)) > 0


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
    assert MaskFolder.find(tmp_path).of("a.jpg") == tmp_path / mask


def test_masks_of_photos_in_folders_lie_in_folders(tmp_path: Path) -> None:
    save_all(tmp_path, "left/1.png", "right/1.png")
    masks = MaskFolder.find(tmp_path)
    assert masks.of("right/1.jpg") == tmp_path / "right" / "1.png"
    assert masks.of("left/1.jpg") == tmp_path / "left" / "1.png"


def test_photos_without_a_mask_are_used_whole(tmp_path: Path) -> None:
    save_all(tmp_path, "a.png")
    masks = MaskFolder.find(tmp_path)
    masks.check_names(["a.jpg", "b.jpg"])
    assert masks.given(PhotoFile("b.jpg", Path("b.jpg"))).mask_path is None


def test_masks_of_more_photos_than_there_are_do_no_harm(tmp_path: Path) -> None:
    save_all(tmp_path, "a.png", "b.png", "c.png")
    MaskFolder.find(tmp_path).check_names(["a.jpg", "b.jpg"])


def test_masks_that_match_nothing_are_an_error_that_names_both(tmp_path: Path) -> None:
    save_all(tmp_path, "x.png", "y.png")
    message = rf"none of the 2 masks in {tmp_path}.*such as a\.jpg\.png; the first is x\.png"
    with pytest.raises(ValueError, match=message):
        MaskFolder.find(tmp_path).check_names(["a.jpg"])


def test_a_mask_whose_name_is_misspelt_is_an_error_that_names_it(tmp_path: Path) -> None:
    save_all(tmp_path, "a.png", "bb.png")
    message = r"1 photo has no mask, such as b\.jpg, while 1 mask has no photo, such as bb\.png"
    with pytest.raises(ValueError, match=message):
        MaskFolder.find(tmp_path).check_names(["a.jpg", "b.jpg"])


def test_two_masks_of_one_name_are_an_error(tmp_path: Path) -> None:
    save_all(tmp_path, "a.png", "a.jpg")
    with pytest.raises(ValueError, match=r"two masks have one name: .*a\.jpg and .*a\.png"):
        MaskFolder.find(tmp_path)


def test_a_folder_of_masks_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="masks must be a folder"):
        MaskFolder.find(tmp_path / "nowhere")


def test_a_folder_of_masks_must_hold_some(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there are no masks in .*fast3r mask PHOTOS"):
        MaskFolder.find(tmp_path)


def test_a_photo_is_not_its_own_mask(tmp_path: Path) -> None:
    save_all(tmp_path, "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg is a photo and cannot be its own mask"):
        load_views(tmp_path, masks=tmp_path)


@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "I;16", "P"])
def test_whatever_is_not_zero_is_kept(tmp_path: Path, white: int, mode: str) -> None:
    path = save(tmp_path / "m.png", corner(), white, mode)
    assert np.array_equal(kept(path), corner())


def test_what_a_mask_leaves_transparent_is_not_kept(tmp_path: Path) -> None:
    values = np.full((96, 128, 4), 255, np.uint8)
    values[..., 3] = corner() * 255
    Image.fromarray(values).save(tmp_path / "m.png")
    assert np.array_equal(kept(tmp_path / "m.png"), corner())


@pytest.mark.parametrize("factor", [0.25, 2, 7])
def test_masks_of_other_size_are_resized(tmp_path: Path, factor: float) -> None:
    path = save(tmp_path / "m.png", corner(int(96 * factor), int(128 * factor)))
    assert np.array_equal(kept(path), corner())


def test_masks_are_cropped_like_their_photos(tmp_path: Path) -> None:
    noise(100, 128).save(tmp_path / "a.png")
    (tmp_path / "masks").mkdir()
    keep = np.zeros((100, 128), bool)
    keep[50:] = True
    save(tmp_path / "masks" / "a.png", keep)
    mask = load_views(tmp_path / "a.png", masks=tmp_path / "masks", size=128)[0].mask
    assert mask is not None
    assert mask.shape == (96, 128)
    assert mask[48:].all()
    assert not mask[:48].any()


def test_a_mask_drawn_on_the_stored_pixels_is_turned_with_its_photo(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    upright = Image.fromarray(corner().astype(np.uint8) * 255)
    upright.transpose(UNTURNS[6]).save(path)
    assert np.array_equal(kept(path, 6), corner())


def test_a_mask_with_an_orientation_of_its_own_is_turned_by_it(tmp_path: Path) -> None:
    save_turned(Image.fromarray(corner().astype(np.uint8) * 255), tmp_path / "m.png", 3)
    assert np.array_equal(kept(tmp_path / "m.png"), corner())


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", corner(100, 100))
    message = r"mask m\.png cannot be used: its shape of 100x100 px is not the photo's of 128x96 px"
    with pytest.raises(UnreadablePhotoError, match=message):
        read_mask(of(path), SIZE, 1)


def test_a_broken_mask_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", corner())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadablePhotoError, match=r"mask m\.png cannot be used: the file is cut"):
        read_mask(of(path), SIZE, 1)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_masks_in_which_white_is_to_go_are_turned_round(tmp_path: Path, mode: str) -> None:
    path = save(tmp_path / "m.png", corner(), mode=mode)
    assert np.array_equal(kept(path, keeps="black"), ~corner())


def test_the_black_of_compressed_masks_need_not_be_zero(tmp_path: Path) -> None:
    drawn = np.zeros((96, 128), bool)
    drawn[13:51, 21:99] = True
    Image.fromarray(drawn.astype(np.uint8) * 255).save(tmp_path / "m.jpg", quality=50)
    assert 0 < np.asarray(Image.open(tmp_path / "m.jpg"))[~drawn].max() < 127
    assert np.array_equal(kept(tmp_path / "m.jpg"), drawn)


@pytest.mark.parametrize("lazy_above", [0, 9])
def test_a_photo_that_its_mask_leaves_nothing_of_is_left_out(
    tmp_path: Path, lazy_above: int
) -> None:
    save_all(tmp_path / "photos", "a.png", "b.png")
    save_all(tmp_path / "masks", "a.png")
    Image.new("L", (64, 48)).save(tmp_path / "masks" / "b.png")
    views = load_views(tmp_path / "photos", masks=tmp_path / "masks", lazy_above=lazy_above)
    assert [view.name for view in views] == ["a.png"]
    assert "its mask keeps 0.0% of it, too little" in views.skipped[0].reason
    assert "--masks-keep black" in views.skipped[0].reason


def test_masks_that_leave_nothing_of_all_photos_are_an_error(tmp_path: Path) -> None:
    save_all(tmp_path / "photos", "a.png", "b.png")
    (tmp_path / "masks").mkdir()
    for name in "ab":
        Image.new("L", (64, 48)).save(tmp_path / "masks" / f"{name}.png")
    with pytest.raises(ValueError, match=r"none of the 2 photos .* its mask keeps 0\.0% of it"):
        load_views(tmp_path / "photos", masks=tmp_path / "masks")


def test_crumbs_in_which_no_patch_is_left_are_too_little() -> None:
    crumbs = np.indices((64, 64)).sum(0) % 4 == 0
    check_kept(crumbs)
    with pytest.raises(UnreadablePhotoError, match=r"keeps 25\.0% of it, too little"):
        check_kept(crumbs, 16)


def test_what_is_masked_does_not_colour_the_pixels_beside_it(tmp_path: Path) -> None:
    keep = np.ones((300, 400), bool)
    keep[100:203, 121:280] = False
    (tmp_path / "masks").mkdir()
    save(tmp_path / "masks" / "a.png", keep)
    shown = []
    for seed in (1, 2):
        photo = np.where(keep[..., None], noise(300, 400), noise(300, 400, seed=seed))
        Image.fromarray(photo.astype(np.uint8)).save(tmp_path / "a.png")
        view = load_views(tmp_path / "a.png", masks=tmp_path / "masks", size=64)[0]
        assert view.mask is not None
        shown.append(view.pixels[view.mask])
    assert (shown[0] == shown[1]).all()
