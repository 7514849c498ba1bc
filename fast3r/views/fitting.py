"""Views made smaller, for a model that was trained on smaller images than they were loaded for."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, UInt8
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
    shown, kept = _shown(view, plan.box, content)
    canvas = Image.new("RGB", (plan.width, plan.height), (128, 128, 128))
    canvas.paste(Image.fromarray(shown), (left, top))
    mask = None
    if kept is not None or content != (plan.width, plan.height):
        mask = np.zeros((plan.height, plan.width), dtype=bool)
        mask[top : top + content[1], left : left + content[0]] = True if kept is None else kept
    return replace(
        view,
        pixels=torch.from_numpy(np.array(canvas)),
        mask=None if mask is None else torch.from_numpy(mask),
        original_from_network=view.original_from_network @ plan.original_from_network,
    )


def _shown(
    view: View, box: tuple[float, float, float, float], content: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"] | None]:
    """Return what is seen of a view, and which of it belongs to the scene, None if all.

    What does not belong to the scene does not colour the pixels beside it.
    """
    picture = Image.fromarray(view.pixels.numpy())
    resize = partial(
        Image.Image.resize,
        size=content,
        resample=Image.Resampling.LANCZOS,
        box=box,
        reducing_gap=3.0,
    )
    plain = np.asarray(resize(picture))
    if view.mask is None:
        return plain, None
    # Pillow weighs colours by their opacity.
    picture.putalpha(Image.fromarray(view.mask.numpy()).convert("L"))
    shown = np.asarray(resize(picture))
    kept = shown[..., 3] > 127
    return np.where(kept[..., None], shown[..., :3], plain), kept
