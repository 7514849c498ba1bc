"""Turned views show the same photo, and know the way back to its pixels."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fast3r.geometry.cameras import pixel_grid, pixels_through
from fast3r.views.fitting import fit_view
from fast3r.views.turning import network_from_photo_camera, quarter_turns, turned
from fast3r.views.view import View

TURNS = pytest.mark.parametrize("turns", range(4))


def a_view() -> View:
    """Return a view that is cut from the middle of its photo, with pixels that are not square."""
    random = torch.Generator().manual_seed(0)
    return View(
        pixels=torch.randint(0, 256, (16, 24, 3), generator=random, dtype=torch.uint8),
        original_from_network=torch.tensor([[5.0, 0, 40], [0, 6.0, -7], [0, 0, 1]]),
        name="a.jpg",
        original_height=90,
        original_width=200,
        mask=torch.rand(16, 24, generator=random) < 0.7,
    )


def positions(view: View) -> Tensor:
    """Return where each pixel of the view lies in the photo."""
    return pixels_through(view.original_from_network, pixel_grid(view.height, view.width))


def test_a_turn_clockwise_brings_the_left_column_to_the_top() -> None:
    view = a_view()
    assert torch.equal(turned(view, 1).pixels[0], view.pixels[:, 0].flip(0))


@TURNS
def test_every_pixel_keeps_its_place_in_the_photo(turns: int) -> None:
    view = a_view()
    after = turned(view, turns)
    colours = {tuple(place.tolist()): rgb for place, rgb in _pixels(view)}
    assert len(colours) == 16 * 24
    for place, rgb in _pixels(after):
        assert torch.equal(colours[tuple(place.tolist())], rgb)


@TURNS
def test_the_mask_turns_with_the_picture(turns: int) -> None:
    view = a_view()
    assert view.mask is not None
    shown = replace(view, pixels=view.mask[..., None].expand(-1, -1, 3).to(torch.uint8))
    after = turned(shown, turns)
    assert after.mask is not None
    assert torch.equal(after.mask, after.pixels[..., 0].bool())


def test_a_view_that_stays_is_the_same_object() -> None:
    view = a_view()
    assert turned(view, 4) is view


@TURNS
def test_fitting_a_turned_view_to_a_network_keeps_the_turn(turns: int) -> None:
    fitted = fit_view(turned(a_view(), turns), size=16, patch=4)
    assert quarter_turns(fitted) == turns
    assert (positions(fitted).flatten(0, 1).mean(dim=0) - torch.tensor([100.0, 41.0])).norm() < 3


@TURNS
def test_the_camera_turns_as_the_picture_does(turns: int) -> None:
    # The photo's own down is that way in the image.
    view = turned(a_view(), turns)
    network_from_original = view.original_from_network[:2, :2].inverse()
    down = network_from_original @ torch.tensor([0.0, 1.0])
    turn = network_from_photo_camera(view)
    seen = turn[:3, :3] @ torch.tensor([0.0, 1.0, 0.0])
    torch.testing.assert_close(seen, torch.tensor([*(down / down.norm()), 0.0]))
    torch.testing.assert_close(turn[:3, 2], torch.tensor([0.0, 0.0, 1.0]))


def _pixels(view: View) -> list[tuple[Tensor, Tensor]]:
    places = (positions(view) * 2).round().int()
    return list(zip(places.flatten(0, 1), view.pixels.flatten(0, 1), strict=True))
