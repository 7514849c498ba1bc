"""From a decoded picture to the pixels and the mask of a view."""

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image, ImageChops
from torch import Tensor

from fast3r.views.decode import swaps_axes, upright
from fast3r.views.resize import Resize

_GREY = 128
"""Padding: zero to a network that takes colours from -1 to 1."""

_BACK = {turn: {6: 8, 8: 6}.get(turn, turn) for turn in range(9)}
"""The EXIF orientation that undoes each; all but quarter turns undo themselves."""


def hidden_by(
    drawn: Image.Image | None,
    opacity: Image.Image | None,
    *,
    size: tuple[int, int],
    orientation: int,
) -> Image.Image | None:
    """Return the opacity of a photo as stored, once what its mask leaves out is hidden.

    Args:
        drawn: The photo's mask, upright, at any resolution, if it has one.
        opacity: Of the photo, if it has any.
        size: Width and height of the photo as stored and decoded.
        orientation: How the photo is turned upright.
    """
    if drawn is None:
        return opacity
    mask = upright(drawn, _BACK[orientation]).resize(size, Image.Resampling.NEAREST)
    return mask if opacity is None else ImageChops.darker(opacity, mask)


def pixels_and_mask(
    rgb: Image.Image,
    opacity: Image.Image | None,
    resize: Resize,
    orientation: int = 1,
    *,
    pixels_each: float = 1,
) -> tuple[UInt8[Tensor, "height width 3"], Bool[Tensor, "height width"] | None]:
    """Return a photo at network size, and what of it belongs to the scene, None if all does.

    Args:
        rgb: The photo as stored.
        opacity: Of the photo, if it has any.
        resize: How the photo becomes network size.
        orientation: How the photo is turned upright.
        pixels_each: Photo pixels that one pixel of `rgb` stands for, along both axes.
    """
    content = np.asarray(_shrunk(rgb, resize, orientation, pixels_each))
    kept = np.ones(content.shape[:2], bool)
    if opacity is not None:
        # What is hidden does not colour the pixels beside it: Pillow weighs colours by opacity.
        both = Image.merge("RGBA", (*rgb.split(), opacity))
        seen = np.asarray(_shrunk(both, resize, orientation, pixels_each))
        kept = seen[..., 3] > 127
        content = np.where(kept[..., None], seen[..., :3], content)
    left, top = resize.padding
    inside = slice(top, top + resize.content_height), slice(left, left + resize.content_width)
    pixels = np.full((resize.height, resize.width, 3), _GREY, np.uint8)
    mask = np.zeros((resize.height, resize.width), bool)
    pixels[inside], mask[inside] = content, kept
    return torch.from_numpy(pixels), None if mask.all() else torch.from_numpy(mask)


def _shrunk(
    picture: Image.Image, resize: Resize, orientation: int, pixels_each: float
) -> Image.Image:
    """Return what a network image shows of a photo, upright.

    The crop is centred, so it is the same for every orientation but for the order of the axes.
    """
    left, top, right, bottom = (edge / pixels_each for edge in resize.box)
    width, height = resize.content_width, resize.content_height
    if swaps_axes(orientation):
        left, top, right, bottom, width, height = top, left, bottom, right, height, width
    content = picture.resize(
        (width, height),
        Image.Resampling.LANCZOS if resize.pitch > 1 else Image.Resampling.BICUBIC,
        box=(left, top, right, bottom),
        reducing_gap=3.0,
    )
    return upright(content, orientation)
