"""Views made smaller still know the way back to their photo."""

from dataclasses import replace

import pytest
import torch

from fast3r.views.fitting import fit_view
from fast3r.views.view import View


def view_with_a_dot(height: int, width: int, row: int, column: int) -> View:
    pixels = torch.zeros(height, width, 3, dtype=torch.uint8)
    pixels[row - 4 : row + 4, column - 4 : column + 4] = 255
    affine = torch.tensor([[3.0, 0, 5], [0, 3, 7], [0, 0, 1]])
    mask = torch.ones(height, width, dtype=torch.bool)
    mask[:, : width // 2] = False
    return View(
        pixels=pixels,
        original_from_network=affine,
        name="a.png",
        original_height=1200,
        original_width=1600,
        mask=mask,
    )


def dot_in_original(view: View) -> torch.Tensor:
    weight = view.image.sum(dim=0)
    rows = torch.arange(view.height) + 0.5
    columns = torch.arange(view.width) + 0.5
    x = (weight.sum(dim=0) * columns).sum() / weight.sum()
    y = (weight.sum(dim=1) * rows).sum() / weight.sum()
    return (view.original_from_network @ torch.stack([x, y, torch.ones(())]))[:2]


@pytest.mark.parametrize(("height", "width"), [(384, 512), (512, 384), (512, 512), (160, 512)])
def test_a_dot_stays_where_it_was_in_the_original(height: int, width: int) -> None:
    view = view_with_a_dot(height, width, row=100, column=140)
    small = fit_view(view, size=128, patch=8)
    assert max(small.height, small.width) == 128
    assert small.height % 8 == small.width % 8 == 0
    torch.testing.assert_close(dot_in_original(small), dot_in_original(view), atol=0.5, rtol=0)


def test_the_mask_shrinks_with_the_picture() -> None:
    small = fit_view(view_with_a_dot(384, 512, 100, 140), size=128, patch=8)
    assert small.mask is not None
    assert not small.mask[:, :64].any()
    assert small.mask[:, 64:].all()


def test_what_fits_is_left_alone() -> None:
    view = view_with_a_dot(96, 128, 40, 40)
    assert fit_view(view, size=128, patch=8) is view


def test_what_is_masked_does_not_colour_the_pixels_beside_it() -> None:
    view = view_with_a_dot(384, 512, row=100, column=250)
    assert view.mask is not None
    plain = replace(view, pixels=view.pixels * view.mask[..., None])
    assert not torch.equal(plain.pixels, view.pixels)
    small, small_plain = (fit_view(v, size=128, patch=8) for v in (view, plain))
    assert small.mask is not None
    assert torch.equal(small.pixels[small.mask], small_plain.pixels[small.mask])
