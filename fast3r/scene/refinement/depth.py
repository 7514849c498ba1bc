"""A depth map made to agree with sparse points."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.robust import geman_mcclure_weight

_MIN_POINTS = 8
"""For the scale of a depth map."""

_MIN_POINTS_FOR_SHAPE = 80
"""For more than its scale."""

_MIN_GAIN = 0.1
"""Share by which a correction of the shape must lower the error on points it was not fitted to."""

_RIDGE = 1e-2
_REWEIGHTINGS = 10


class AlignedDepth(NamedTuple):
    """A depth map in the unit of the sparse points."""

    depth: Float[Tensor, "height width"]
    """Corrected."""

    factor: float
    """Median of what it was multiplied by."""

    error: float
    """Median relative difference from the sparse points."""


def align_depth(
    depth: Float[Tensor, "height width"],
    positions: Float[Tensor, "points 2"],
    sparse: Float[Tensor, " points"],
    network: Float[Tensor, " points"],
) -> AlignedDepth | None:
    """Return the depth map that fits sparse points; None where they are too few.

    Its scale is the median ratio. Where the points are many, the logarithm of the ratio may also be
    linear in the position and in the logarithm of the depth, if that predicts points it has not
    seen better; outside of what the points cover, the correction stays as it is at their border.

    Args:
        depth: Along the camera's z axis.
        positions: Network pixels of the points, in [-1, 1] from edge to edge.
        sparse: Their true depth.
        network: The depth map there; nan where it knows none.
    """
    usable = (network > 0) & (sparse > 0)
    if usable.sum() < _MIN_POINTS:
        return None
    ratio = (sparse[usable] / network[usable]).log()
    terms = _terms(positions[usable], network[usable])
    plain = ratio.median()
    if len(ratio) >= _MIN_POINTS_FOR_SHAPE:
        held_out = _held_out_error(terms, ratio)
        if held_out < (1 - _MIN_GAIN) * (ratio - plain).abs().median():
            return _shaped(depth, terms, ratio)
    factor = plain.exp().item()
    return AlignedDepth(depth * factor, factor, _relative(ratio - plain))


def _shaped(
    depth: Float[Tensor, "height width"],
    terms: Float[Tensor, "points 4"],
    ratio: Float[Tensor, " points"],
) -> AlignedDepth:
    weights = _fit(terms, ratio)
    fitted = terms @ weights
    lowest, highest = fitted.quantile(torch.tensor([0.02, 0.98], dtype=fitted.dtype))
    height, width = depth.shape
    y, x = torch.meshgrid(_across(height), _across(width), indexing="ij")
    everywhere = _terms(torch.stack((x, y), dim=-1).flatten(0, 1), depth.double().flatten())
    change = (everywhere @ weights).clamp(lowest, highest).view(height, width)
    corrected = (depth.double() * change.exp()).where(depth > 0, depth.double())
    error = _relative(ratio - fitted.clamp(lowest, highest))
    return AlignedDepth(corrected.to(depth.dtype), fitted.median().exp().item(), error)


def _terms(
    positions: Float[Tensor, "points 2"], depth: Float[Tensor, " points"]
) -> Float[Tensor, "points 4"]:
    logarithm = depth.clamp(min=torch.finfo(torch.float32).tiny).log()
    return torch.cat((torch.ones_like(depth)[:, None], positions, logarithm[:, None]), dim=1)


def _fit(terms: Float[Tensor, "points 4"], ratio: Float[Tensor, " points"]) -> Float[Tensor, " 4"]:
    """Return weights of the terms by robust ridge regression towards the median alone."""
    centre = terms.mean(dim=0)
    centre[0] = 0
    centred = terms - centre
    target = ratio - ratio.median()
    ridge = _RIDGE * len(ratio) * torch.diag(terms.new_tensor([0.0, 1, 1, 1]))
    found = torch.zeros_like(centre)
    for _ in range(_REWEIGHTINGS):
        residual = target - centred @ found
        spread = 3 * residual.abs().median().clamp(min=1e-6)
        weight = geman_mcclure_weight(residual.square(), spread[None])[:, None]
        found = torch.linalg.solve(
            centred.mT @ (weight * centred) + ridge, centred.mT @ (weight[:, 0] * target)
        )
    found = found.clone()
    found[0] += ratio.median() - found[1:] @ centre[1:]
    return found


def _held_out_error(terms: Float[Tensor, "points 4"], ratio: Float[Tensor, " points"]) -> Tensor:
    """Return the median error of halves predicted from each other."""
    # Halves of space, not of every other point: neighbours would vouch for each other.
    left = terms[:, 1] < terms[:, 1].median()
    errors = [
        ratio[to] - terms[to] @ _fit(terms[fro], ratio[fro])
        for fro, to in ((left, ~left), (~left, left))
    ]
    return torch.cat(errors).abs().median()


def _relative(logarithm: Float[Tensor, " points"]) -> float:
    return logarithm.abs().median().expm1().item()


def _across(length: int) -> Float[Tensor, " length"]:
    return (2 * torch.arange(length, dtype=torch.float64) + 1) / length - 1
