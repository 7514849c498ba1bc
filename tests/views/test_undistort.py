"""Photos through lenses, shown as a pinhole camera would have seen them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fast3r.geometry.cameras import pixel_grid, pixels_through
from fast3r.geometry.lenses import Lens
from fast3r.views.load import load_views
from fast3r.views.photos import read_again
from fast3r.views.undistort import NETWORK_FIELD_DEG, WIDEST_FIELD_DEG
from fast3r.views.view import View
from tests.scene.bent_corner import LENSES
from tests.views.pictures import dots, found_dots, save_turned

WIDTH, HEIGHT = 240, 180
PLAIN = Lens("OPENCV", (200.0, 200.0, 120.0, 90.0, 0.0, 0.0, 0.0, 1e-12), WIDTH, HEIGHT)


def photo_pixels(view: View) -> torch.Tensor:
    """Return where the original photo shows each pixel of a view."""
    grid = pixel_grid(view.height, view.width).double()
    ideal = pixels_through(view.original_from_network.double(), grid)
    assert view.lens is not None
    return view.lens.photo_from_ideal(ideal)


@pytest.fixture
def gradient(tmp_path: Path) -> Path:
    """A photo whose red and green tell column and row."""
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    pixels = np.stack((columns, rows, np.full_like(rows, 128)), axis=-1)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize("size", [64, 160])
@pytest.mark.parametrize("lens", LENSES.values(), ids=lambda lens: lens.model)
def test_a_view_shows_the_photo_where_its_lens_says(lens: Lens, size: int, gradient: Path) -> None:
    (view,) = load_views(gradient, size=size, lenses=lens)
    inner = slice(2, -2), slice(2, -2)
    error_px = (view.pixels[..., :2].double() + 0.5 - photo_pixels(view))[inner]
    # Colours are rounded twice, by up to half a step each time.
    assert error_px.abs().max() < 1.3
    assert error_px.abs().mean() < 0.4
    assert error_px.mean(dim=(0, 1)).abs().max() < 0.05


@pytest.mark.parametrize("lens", LENSES.values(), ids=lambda lens: lens.model)
def test_a_view_fills_as_much_of_the_photo_as_it_can(lens: Lens, gradient: Path) -> None:
    (narrow,) = load_views(gradient, size=240, patch=1, lenses=lens)
    view = read_again(narrow, size=240)
    assert view is not None
    assert view.mask is None
    pixels = photo_pixels(view)
    assert (pixels > 0).all()
    assert (pixels < torch.tensor([WIDTH, HEIGHT])).all()
    left_over = torch.tensor([WIDTH, HEIGHT]) - pixels.amax(dim=(0, 1))
    assert min(pixels.min().item(), left_over.min().item()) < 2


def test_of_a_wide_fisheye_networks_see_the_middle_and_others_more(gradient: Path) -> None:
    lens = Lens("OPENCV_FISHEYE", (70.0, 70.0, 120.0, 90.0, 0.0, 0.0, 0.0, 0.0), WIDTH, HEIGHT)
    (view,) = load_views(gradient, size=240, patch=1, lenses=lens)
    wider = read_again(view, size=240)
    assert wider is not None
    for seen, field_deg in ((view, NETWORK_FIELD_DEG), (wider, WIDEST_FIELD_DEG)):
        ends = torch.tensor([[0.0, seen.height / 2], [seen.width, seen.height / 2]]).double()
        ideal = pixels_through(seen.original_from_network.double(), ends)
        angles_deg = ((ideal[:, 0] - 120) / 70).atan().rad2deg()
        assert (angles_deg[1] - angles_deg[0]).item() == pytest.approx(field_deg, abs=0.01)


def test_a_lens_that_bends_nothing_changes_nothing(tmp_path: Path) -> None:
    dots(HEIGHT, WIDTH)[0].save(tmp_path / "a.jpg")
    (plain,) = load_views(tmp_path, size=64)
    (through,) = load_views(tmp_path, size=64, lenses=PLAIN)
    torch.testing.assert_close(through.original_from_network, plain.original_from_network)
    assert (through.pixels.int() - plain.pixels.int()).abs().max() <= 2


def test_a_pinholes_calibration_leaves_the_photo_as_it_is(gradient: Path) -> None:
    lens = Lens("PINHOLE", (200.0, 200.0, 120.0, 90.0), WIDTH, HEIGHT)
    (view,) = load_views(gradient, size=64, lenses=lens)
    assert view.lens is None


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_the_lens_is_that_of_the_upright_photo(orientation: int, tmp_path: Path) -> None:
    picture, _ = dots(HEIGHT, WIDTH)
    save_turned(picture, tmp_path / "a.png", 1)
    save_turned(picture, tmp_path / "b.png", orientation)
    first, second = load_views(tmp_path, size=64, lenses=LENSES["OPENCV"])
    assert torch.equal(first.pixels, second.pixels)


def test_large_jpegs_are_drafted_and_end_up_in_the_right_place(tmp_path: Path) -> None:
    picture, centres = dots(HEIGHT * 8, WIDTH * 8)
    picture.save(tmp_path / "a.jpg", quality=95)
    lens = LENSES["OPENCV"].scaled(WIDTH * 8, HEIGHT * 8)
    (view,) = load_views(tmp_path, size=128, lenses=lens)
    found = lens.photo_from_ideal(torch.from_numpy(found_dots(view)))
    # The middle of a bent dot is not the bent middle of the dot, by a pixel or two of 1920.
    np.testing.assert_allclose(found.numpy(), centres, atol=6)


def test_a_calibration_at_another_size_is_scaled(gradient: Path) -> None:
    large = LENSES["OPENCV"].scaled(WIDTH * 4, HEIGHT * 4)
    (view,) = load_views(gradient, size=64, lenses=large)
    (expected,) = load_views(gradient, size=64, lenses=LENSES["OPENCV"])
    assert torch.equal(view.pixels, expected.pixels)
    assert view.lens == expected.lens


@pytest.mark.parametrize(
    ("size", "hint"),
    [((180, 240), "before EXIF turned it"), ((240, 135), "of another photo")],
)
def test_a_calibration_for_another_shape_is_refused(
    size: tuple[int, int], hint: str, gradient: Path
) -> None:
    lens = Lens("SIMPLE_RADIAL", (200.0, size[0] / 2, size[1] / 2, 0.1), *size)
    with pytest.raises(ValueError, match=rf"lens of a\.png: it is for .* has 240x180; .*{hint}"):
        load_views(gradient, lenses=lens)


def test_lenses_go_by_name_or_pattern(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        dots(HEIGHT, WIDTH)[0].save(tmp_path / name)
    views = load_views(tmp_path, size=64, lenses={"b.*": LENSES["OPENCV"]})
    assert [view.lens for view in views] == [None, LENSES["OPENCV"]]
    with pytest.raises(ValueError, match=r"lenses: no view is named 'c.png'"):
        load_views(tmp_path, size=64, lenses={"c.png": LENSES["OPENCV"]})


def test_a_mask_is_bent_along(gradient: Path) -> None:
    masks = gradient.parent / "masks"
    masks.mkdir()
    left = np.where(np.arange(WIDTH) < 60, np.uint8(0), np.uint8(255))
    Image.fromarray(np.broadcast_to(left, (HEIGHT, WIDTH)).copy()).save(masks / "a.png")
    (view,) = load_views(gradient, size=160, lenses=LENSES["OPENCV"], masks=masks)
    assert view.mask is not None
    column = photo_pixels(view)[..., 0]
    sure = (column - 60).abs() > 2
    assert torch.equal(view.mask[sure], (column > 60)[sure])


def test_views_decoded_later_are_the_same(gradient: Path) -> None:
    (now,) = load_views(gradient, size=64, lenses=LENSES["OPENCV"])
    (later,) = load_views(gradient, size=64, lenses=LENSES["OPENCV"], lazy_above=0)
    assert torch.equal(now.pixels, later.pixels)
    assert torch.equal(now.original_from_network, later.original_from_network)
    assert now.lens == later.lens


def test_lenses_of_videos_are_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"lenses are for photos, and a is a video; .*ffmpeg"):
        load_views(tmp_path / "a.mp4", lenses=LENSES["OPENCV"])
