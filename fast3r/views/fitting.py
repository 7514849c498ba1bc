"""Views made smaller, for a model that was trained on smaller images than they were loaded for."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

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
    content = (plan.content_width, plan.content_height)
    left, top = plan.padding
    picture = Image.fromarray(view.pixels.numpy())
    shown = picture.resize(content, Image.Resampling.LANCZOS, box=plan.box, reducing_gap=3)
    canvas = Image.new("RGB", (plan.width, plan.height), (128, 128, 128))
    canvas.paste(shown, (left, top))
    mask = _fitted_mask(view, plan.box, content)
    if mask is not None:
        kept = np.zeros((plan.height, plan.width), dtype=bool)
        kept[top : top + content[1], left : left + content[0]] = mask
        mask = kept
    elif content != (plan.width, plan.height):
        mask = np.zeros((plan.height, plan.width), dtype=bool)
        mask[top : top + content[1], left : left + content[0]] = True
    return replace(
        view,
        pixels=torch.from_numpy(np.array(canvas)),
        mask=None if mask is None else torch.from_numpy(mask),
        original_from_network=view.original_from_network @ plan.original_from_network,
    )


def _fitted_mask(
    view: View, box: tuple[float, float, float, float], content: tuple[int, int]
) -> np.ndarray | None:
    if view.mask is None:
        return None
    picture = Image.fromarray(view.mask.numpy())
    return np.array(picture.resize(content, Image.Resampling.NEAREST, box=box), dtype=bool)
