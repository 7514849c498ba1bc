"""What holds of photos of any size, shape and orientation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fast3r.views.load import load_views
from fast3r.views.resize import Resize, plan_resize
from fast3r.views.turning import quarter_turns, turned
from fast3r.views.view import View
from tests.properties.given import generators
from tests.views.pictures import dots, found_dots, save_turned


@st.composite
def resizes(draw: st.DrawFn) -> Resize:
    """Return the resize of a photo that is not too narrow, for a network of some patch."""
    patch = draw(st.sampled_from([8, 14, 16]))
    size = patch * draw(st.integers(4, 40))
    long = draw(st.integers(64, 30_000))
    short = draw(st.integers(max(16, -(-long // (size // (2 * patch)))), max(long, 16)))
    height, width = draw(st.sampled_from([(long, short), (short, long)]))
    return plan_resize(height, width, size=size, patch=patch)


@settings(max_examples=200)
@given(resizes())
def test_the_map_takes_the_corners_of_the_content_to_those_of_what_is_shown(plan: Resize) -> None:
    affine = plan.original_from_network.double()
    (x, y), (left, top, right, bottom) = plan.padding, plan.box
    corners = torch.tensor(
        [[x, y, 1], [x + plan.content_width, y + plan.content_height, 1]], dtype=torch.float64
    )
    shown = torch.tensor([[left, top, 1], [right, bottom, 1]], dtype=torch.float64)
    # One rounding of float32, at the far corner of the photo.
    close_px = 1e-6 * max(plan.original_height, plan.original_width) + 1e-6
    torch.testing.assert_close(corners @ affine.mT, shown, rtol=0, atol=2 * close_px)


@settings(max_examples=200)
@given(resizes())
def test_every_network_pixel_has_its_own_place_in_the_photo(plan: Resize) -> None:
    affine = plan.original_from_network.double()
    corners = torch.tensor(
        [[0, 0, 1], [plan.width, 0, 1], [0, plan.height, 1], [plan.width, plan.height, 1]],
        dtype=torch.float64,
    )
    back = corners @ affine.mT @ torch.linalg.inv(affine).mT
    torch.testing.assert_close(back, corners, rtol=0, atol=1e-6)
    assert affine[0, 0] == affine[1, 1] > 0
    assert affine[0, 1] == affine[1, 0] == 0


@settings(max_examples=200)
@given(resizes())
def test_the_content_is_the_middle_of_the_photo_and_fits_the_network_image(plan: Resize) -> None:
    left, top, right, bottom = plan.box
    assert 0 <= left < right <= plan.original_width
    assert 0 <= top < bottom <= plan.original_height
    assert 0 < plan.content_width <= plan.width
    assert 0 < plan.content_height <= plan.height
    # Centred, and never stretched.
    assert (left + right, top + bottom) == pytest.approx(
        (plan.original_width, plan.original_height)
    )
    assert right - left == pytest.approx(plan.content_width * plan.pitch)
    assert bottom - top == pytest.approx(plan.content_height * plan.pitch)
    # One of the photo's sides is shown whole, or all but a rounding of it.
    whole = (right - left) / plan.original_width, (bottom - top) / plan.original_height
    assert max(whole) > 1 - 1e-6


@given(st.integers(1, 9), st.integers(1, 9), st.integers(-9, 9), generators(), st.booleans())
def test_four_quarter_turns_are_none(
    height: int, width: int, turns: int, generator: torch.Generator, masked: bool
) -> None:
    pixels = torch.randint(0, 256, (height, width, 3), generator=generator).to(torch.uint8)
    mask = torch.rand(height, width, generator=generator) > 0.5 if masked else None
    view = View(pixels, torch.diag(torch.tensor([4.0, 4.0, 1.0])), "a", 40, 50, mask=mask)
    round_trip = turned(turned(turned(view, turns), 1), 3 - turns)
    assert torch.equal(round_trip.pixels, view.pixels)
    torch.testing.assert_close(round_trip.original_from_network, view.original_from_network)
    assert mask is None or torch.equal(round_trip.mask, mask)  # pyright: ignore
    assert quarter_turns(turned(view, turns)) == turns % 4


@settings(max_examples=12)
@given(
    st.integers(40, 160), st.integers(40, 160), st.integers(1, 8), st.sampled_from([64, 96, 128])
)
def test_what_a_view_shows_lies_where_its_map_says(
    tmp_path: Path, height: int, width: int, orientation: int, size: int
) -> None:
    picture, centres = dots(height, width)
    save_turned(picture, tmp_path / "a.png", orientation)
    (view,) = load_views(tmp_path / "a.png", size=size, patch=8, workers=1)
    assert (view.original_height, view.original_width) == (height, width)
    np.testing.assert_allclose(found_dots(view), centres, atol=1.5)


@settings(max_examples=10)
@given(st.integers(16, 90), st.integers(16, 90))
def test_a_photo_of_one_colour_stays_of_that_colour(
    tmp_path: Path, height: int, width: int
) -> None:
    if max(height, width) > 4 * min(height, width):
        return
    Image.new("RGB", (width, height), (10, 200, 90)).save(tmp_path / "a.png")
    (view,) = load_views(tmp_path / "a.png", size=64, patch=8, workers=1)
    seen = view.pixels if view.mask is None else view.pixels[view.mask]
    assert (seen == torch.tensor([10, 200, 90])).all()
