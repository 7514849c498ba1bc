"""The passes of an ensemble in one frame: a similarity for each, from points that all of them see.

Every pass says where the same pixels lie, so points correspond without search.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.alignment import align_local_to_world
from fast3r.geometry.transforms import Similarity
from fast3r.scene.ensemble.means import point_median

# Of every pass to every other, to find where to start.
_START_POINTS = 512
_ROUNDS = 3
# Share of the points that must lie near those of the other passes. Pure noise agrees on 7 %.
_MIN_AGREEMENT = 0.15


class AlignedPasses(NamedTuple):
    """Passes in the frame of one of them."""

    common_from_pass: Similarity
    """One a pass; nan where not aligned."""

    aligned: Bool[Tensor, " passes"]
    """False where most points of a pass lie elsewhere than the others put them."""


def align_passes(
    points: Float[Tensor, "passes points 3"],
    weights: Float[Tensor, "passes points"],
    *,
    seed: int = 0,
) -> AlignedPasses:
    """Return the similarities that bring the points of passes together.

    Starts from the pass that most others agree with, and then aligns every pass to the median of
    all, three times: a generalised Procrustes analysis (Gower, 1975) with robust fits. The common
    frame is that of the first pass, or if it is not aligned, of the one that is started from.

    Args:
        points: Of the same pixels, each pass in its own world.
        weights: Confidence; 0 where a pass does not know the point.
        seed: Of all sampling.
    """
    start = _most_agreed_with(points, weights, seed)
    fit = _fit(points, weights, points[start], weights[start] > 0, seed)
    for _ in range(_ROUNDS):
        median = _median(fit, points, weights)
        known = median.isfinite().all(dim=-1)
        fit = _fit(points, weights, median, known, seed)
    aligned = fit.matrix.isfinite().flatten(1).all(dim=-1)
    first = 0 if aligned[0] else start
    if aligned[first]:
        fit = fit[first].inverse() @ fit
    return AlignedPasses(fit, aligned)


def _most_agreed_with(points: Tensor, weights: Tensor, seed: int) -> int:
    """Return the pass to which the others, summed over them, align best."""
    passes = len(points)
    step = max(1, points.shape[1] // _START_POINTS)
    few, sure = points[:, ::step], weights[:, ::step]
    sources, targets = torch.cartesian_prod(torch.arange(passes), torch.arange(passes)).unbind(-1)
    found = align_local_to_world(
        few[sources],
        few[targets],
        confidence=(sure[sources] * sure[targets]).sqrt(),
        min_inlier_ratio=_MIN_AGREEMENT,
        seed=seed,
    )
    agreement = found.inlier_ratio * found.aligned
    return int(agreement.view(passes, passes).sum(dim=0).argmax())


def _fit(points: Tensor, weights: Tensor, target: Tensor, known: Tensor, seed: int) -> Similarity:
    return align_local_to_world(
        points,
        target.nan_to_num().expand_as(points).contiguous(),
        confidence=weights * known,
        min_inlier_ratio=_MIN_AGREEMENT,
        seed=seed,
    ).world_from_local


def _median(fit: Similarity, points: Tensor, weights: Tensor) -> Float[Tensor, "points 3"]:
    moved = fit(points)
    there = weights * moved.isfinite().all(dim=-1)
    return point_median(moved, there).value
