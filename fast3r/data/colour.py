"""Random changes of colour, each an affine map of RGB."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.data.config import ColourJitter

_YIQ_FROM_RGB = np.array(
    [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]]
)
"""Luma and the two colour axes of NTSC television (Rec. 601)."""


def jitter_colours(
    images: Float[Tensor, "views 3 height width"], jitter: ColourJitter, dice: np.random.Generator
) -> Float[Tensor, "views 3 height width"]:
    """Return photos in [0, 1] with brightness, contrast, saturation and hue changed at random.

    Each photo has its own changes. Hue turns in the plane of equal luma, which keeps grey grey,
    so that all four changes are one matrix and one offset for each photo.
    """
    maps = [_colour_map(jitter, dice) for _ in images]
    matrix = images.new_tensor(np.stack([matrix for matrix, _ in maps]))
    contrast = images.new_tensor([contrast for _, contrast in maps])
    changed = torch.einsum("vij,vjhw->vihw", matrix, images)
    luma = images.new_tensor(_YIQ_FROM_RGB[0])
    grey = torch.einsum("j,vj->v", luma, changed.mean(dim=(2, 3)))[:, None, None, None]
    return (grey + contrast[:, None, None, None] * (changed - grey)).clamp(0, 1)


def _colour_map(
    jitter: ColourJitter, dice: np.random.Generator
) -> tuple[Float[np.ndarray, "3 3"], float]:
    """Return the linear map of brightness, saturation and hue, and the factor of contrast."""
    brightness, contrast, saturation = (
        dice.uniform(max(0.0, 1 - spread), 1 + spread)
        for spread in (jitter.brightness, jitter.contrast, jitter.saturation)
    )
    angle = 2 * math.pi * dice.uniform(-jitter.hue, jitter.hue)
    cosine, sine = saturation * math.cos(angle), saturation * math.sin(angle)
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return brightness * np.linalg.solve(_YIQ_FROM_RGB, turn @ _YIQ_FROM_RGB), contrast
