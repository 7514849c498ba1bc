from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.views.photos import inspect_photos, read_view
from fast3r.views.sources import PhotoFile
from fast3r.views.view import View

from .pictures import dots, found_dots, noise, save_turned


def view_of(path: Path, size: int = 128) -> View:
    (photo,) = inspect_photos(PhotoFile(path.name, path), size=size, patch=16)
    return read_view(photo)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_dots_map_back_to_where_they_are_in_the_upright_photo(
    tmp_path: Path, orientation: int
) -> None:
    upright, positions = dots(805, 1203)
    save_turned(upright, tmp_path / "a.jpg", orientation, quality=95, subsampling=0)
    view = view_of(tmp_path / "a.jpg")
    assert (view.original_height, view.original_width) == (805, 1203)
    np.testing.assert_allclose(found_dots(view), positions, atol=0.1)


@pytest.mark.parametrize(
    ("height", "width"),
    [(805, 1203), (1203, 805), (1001, 1001), (1001, 993), (350, 1400), (1400, 361), (60, 80)],
)
def test_dots_map_back_through_crop_padding_and_enlarging(
    tmp_path: Path, height: int, width: int
) -> None:
    picture, positions = dots(height, width)
    picture.save(tmp_path / "a.png")
    np.testing.assert_allclose(found_dots(view_of(tmp_path / "a.png")), positions, atol=0.1)


@pytest.mark.parametrize("width", [2048, 2049, 2055])
@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_jpegs_decoded_at_a_fraction_show_what_whole_ones_do(
    tmp_path: Path, width: int, size: int
) -> None:
    picture, positions = dots(1030, width)
    picture.save(tmp_path / "a.jpg", quality=95, subsampling=0)
    picture.save(tmp_path / "a.png")
    fraction, whole = view_of(tmp_path / "a.jpg", size), view_of(tmp_path / "a.png", size)
    np.testing.assert_allclose(found_dots(fraction), positions, atol=0.15)
    difference = fraction.pixels.float() - whole.pixels.float()
    assert difference.abs().mean() < 1


@pytest.mark.parametrize("kind", ["png", "tif", "webp", "avif", "heic"])
@pytest.mark.parametrize("orientation", [3, 5, 6])
def test_every_kind_of_file_is_turned_upright_once(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    if kind == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    upright, positions = dots(240, 400)
    save_turned(upright, tmp_path / f"a.{kind}", orientation)
    view = view_of(tmp_path / f"a.{kind}")
    assert (view.original_height, view.original_width) == (240, 400)
    np.testing.assert_allclose(found_dots(view), positions, atol=0.6)


def test_compressed_tiffs_are_turned_upright_once(tmp_path: Path) -> None:
    upright, positions = dots(240, 400)
    save_turned(upright, tmp_path / "a.tif", 6, compression="tiff_lzw")
    np.testing.assert_allclose(found_dots(view_of(tmp_path / "a.tif")), positions, atol=0.1)


def test_a_photo_of_network_size_is_kept_exactly(tmp_path: Path) -> None:
    picture = noise(96, 128)
    picture.save(tmp_path / "a.png")
    view = view_of(tmp_path / "a.png")
    assert np.array_equal(view.pixels.numpy(), np.asarray(picture))
    torch.testing.assert_close(view.original_from_network, torch.eye(3))


def test_a_whole_photo_needs_no_mask(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 48), (9, 9, 9, 255)).save(tmp_path / "a.png")
    assert view_of(tmp_path / "a.png").mask is None


def test_padding_is_grey_and_masked(tmp_path: Path) -> None:
    Image.new("RGB", (800, 200), (250, 0, 0)).save(tmp_path / "a.png")
    view = view_of(tmp_path / "a.png")
    assert (view.height, view.width) == (48, 128)
    assert view.mask is not None
    assert view.mask[8:40].all()
    assert not view.mask[:8].any()
    assert not view.mask[40:].any()
    assert (view.pixels[~view.mask] == 128).all()
    assert (view.pixels[view.mask] == torch.tensor([250, 0, 0], dtype=torch.uint8)).all()


def test_transparent_pixels_keep_their_colour_and_are_masked(tmp_path: Path) -> None:
    picture = np.full((96, 128, 4), 200, np.uint8)
    picture[:, :64, 3], picture[:, 64:, 3] = 127, 128
    Image.fromarray(picture).save(tmp_path / "a.png")
    view = view_of(tmp_path / "a.png")
    assert view.mask is not None
    assert not view.mask[:, :63].any()
    assert view.mask[:, 65:].all()
    assert (view.pixels == 200).all()


def test_transparency_is_turned_with_its_photo(tmp_path: Path) -> None:
    upright = np.full((96, 128, 4), 255, np.uint8)
    upright[:20, :30, 3] = 0
    save_turned(Image.fromarray(upright), tmp_path / "a.png", 6)
    mask = view_of(tmp_path / "a.png").mask
    assert mask is not None
    assert np.array_equal(mask.numpy(), upright[..., 3] > 127)
