"""Views made smaller, for a model that was trained on smaller images than they were loaded for."""

from dataclasses import replace

from PIL import Image

from fast3r.views.pixels import pixels_and_mask
from fast3r.views.resize import plan_resize
from fast3r.views.view import View


def fit_view(view: View, *, size: int, patch: int) -> View:
    """Return a view with a long side of `size` and sides that are multiples of `patch`.

    The way back to the original photo stays exact. A view that is small enough and whose sides
    are multiples already is returned as it is.

    Raises:
        ValueError: `size` is not a multiple of `patch`, or the view is too narrow.
    """
    sides = (view.height, view.width)
    if max(sides) <= size and not any(side % patch for side in sides):
        return view
    plan = plan_resize(*sides, size=size, patch=patch)
    mask = view.mask
    opacity = None if mask is None else Image.fromarray(mask.numpy()).convert("L")
    pixels, mask = pixels_and_mask(Image.fromarray(view.pixels.numpy()), opacity, plan)
    return replace(
        view,
        pixels=pixels,
        mask=mask,
        original_from_network=view.original_from_network @ plan.original_from_network,
    )
