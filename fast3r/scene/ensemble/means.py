"""Robust means over the passes of an ensemble: of rotations, points and numbers.

The first axis is the passes', the second what is averaged by itself (views, or points). Entries
of weight 0 do not exist. Means are medians in the sense of least summed distance, which stand
until half of the passes are wrong, and then least squares over those that agree with it.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.robust import weighted_median
from fast3r.geometry.transforms import (
    nearest_rotation,
    rotation_angle_deg,
    rotation_exp,
    rotation_log,
)

_STEPS = 12
# Keeps the weight of a pass finite that hits the median itself; of the typical distance.
_SOFTENING = 1e-2
# Of a Gaussian length in three dimensions, as those of centres and small rotations are, the
# median is 1.54 standard deviations per axis, and 99.7 % lie within 2.4 medians.
_ALLOWED_MEDIANS = 2.5


class Mean(NamedTuple):
    """Robust means with how far the passes lie from them."""

    value: Tensor
    """One an item; nan where no pass has one."""

    distance: Float[Tensor, "passes items"]
    """Of each pass from it; nan where the pass has none."""


def rotation_median(
    rotations: Float[Tensor, "passes items 3 3"], weights: Float[Tensor, "passes items"]
) -> Mean:
    """Return the rotations of least summed angle to those of the passes, with angles in degrees.

    Weiszfeld's algorithm on the rotations (Hartley, Aftab and Trumpf, 2011), from the chordal mean.
    """
    exists = weights > 0
    rotations = rotations.where(exists[..., None, None], 0)
    centre = rotation_mean(rotations, weights)
    for _ in range(_STEPS):
        steps = _turns(centre, rotations, exists)
        pull = weights / _softened(torch.linalg.vector_norm(steps, dim=-1), exists)
        centre = centre @ rotation_exp(_weighted(steps, pull))
    turned_deg = rotation_angle_deg(centre, rotations)
    return Mean(centre, turned_deg.where(exists, torch.nan))


def rotation_mean(
    rotations: Float[Tensor, "passes items 3 3"], weights: Float[Tensor, "passes items"]
) -> Float[Tensor, "items 3 3"]:
    """Return the rotations of least squared chords to those of the passes; nan without any."""
    total = (weights[..., None, None] * rotations.nan_to_num()).sum(dim=0)
    exists = (weights > 0).any(dim=0)[:, None, None]
    return nearest_rotation(total.where(exists, torch.nan))


def point_median(
    points: Float[Tensor, "passes items 3"], weights: Float[Tensor, "passes items"]
) -> Mean:
    """Return the points of least summed distance to those of the passes (Weiszfeld, 1937)."""
    exists = weights > 0
    points = points.where(exists[..., None], 0)
    centre = _weighted(points, weights)
    for _ in range(_STEPS):
        distance = torch.linalg.vector_norm(points - centre, dim=-1)
        centre = _weighted(points, weights / _softened(distance, exists))
    distance = torch.linalg.vector_norm(points - centre, dim=-1)
    return Mean(centre, distance.where(exists, torch.nan))


def agreeing(distance: Float[Tensor, "passes items"], floor: float) -> Bool[Tensor, "passes items"]:
    """Return which passes lie no farther from the median than errors of one kind would.

    Args:
        distance: From the median, nan where there is none.
        floor: Distances up to this never disagree.
    """
    typical = distance.nanmedian(dim=0).values
    return distance <= (_ALLOWED_MEDIANS * typical).clamp(min=floor)


def _turns(centre: Tensor, rotations: Tensor, exists: Tensor) -> Float[Tensor, "passes items 3"]:
    steps = rotation_log(centre.mT @ rotations)
    return steps.where(exists[..., None], 0)


def _softened(distance: Tensor, exists: Tensor) -> Tensor:
    typical = weighted_median(distance.mT, exists.mT.to(distance)).nan_to_num()
    least = (_SOFTENING * typical).clamp(min=torch.finfo(distance.dtype).tiny ** 0.5)
    return distance.clamp(min=least)


def _weighted(values: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean over the passes, nan where all weights are 0."""
    return (weights[..., None] * values).sum(dim=0) / weights.sum(dim=0)[..., None]
