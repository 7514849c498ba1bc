"""Similarities from each view's own frame to the world, from its two pointmaps."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.robust import (
    LOG_RARE,
    MEDIAN_LENGTH_3D,
    MEDIAN_POINTS,
    even_sample,
    geman_mcclure_weight,
    log_false_alarms,
    take_points,
    usable_weights,
    weighted_median,
)
from fast3r.geometry.transforms import (
    Similarity,
    fit_similarity,
    in_double,
    off_mps,
    triangle_frame,
)

_MIN_POINTS = 6
# A pair within this distance in the world is an inlier; in units of the median distance of the
# view's world points from their centre.
_MAX_DISTANCE = 0.2
# Bounds memory.
_VIEWS_AT_ONCE = 128
_SAMPLE_POINTS = 8192
# So many triples contain one without outliers, with 98 % probability, among 75 % outliers.
_TRIPLES, _SCORED_POINTS = 256, 256
_STEPS = 8
# Keeps the weights of noiseless points finite.
_MIN_SCALE = 1e-4
_SCALE_DEVIATIONS = 3.0
# Points on a line leave the rotation about it free; the rounding of float32 fakes 1e-7.
_MIN_THICKNESS = 1e-3


class Alignment(NamedTuple):
    """Where each view's own frame lies in the world."""

    world_from_local: Similarity
    """One per view; nan where not aligned."""

    aligned: Bool[Tensor, " views"]
    """False where no similarity is determined by enough of the points."""

    inlier_ratio: Float[Tensor, " views"]
    """Share of the confidence whose points land within the allowed distance."""


@torch.no_grad()
def align_local_to_world(
    local_points: Float[Tensor, "views points 3"],
    world_points: Float[Tensor, "views points 3"],
    *,
    confidence: Float[Tensor, "views points"] | None = None,
    mask: Bool[Tensor, "views points"] | None = None,
    min_inlier_ratio: float = 0.15,
    seed: int = 0,
) -> Alignment:
    """Return the similarity that maps each view's local points onto its world points.

    The best of 256 similarities between triangles (RANSAC), then reweighted Umeyama fits whose
    Geman-McClure scale follows the noise. Of large pointmaps a sample of 8192 points is used.

    Args:
        local_points: In each view's own frame and unit; points that are not finite do not count.
        world_points: The same points in the world.
        confidence: Relative trust in each pair; 0 or less excludes it.
        mask: False excludes a pair; pads views of unequal numbers of points.
        min_inlier_ratio: With a smaller share of inliers a view is not aligned.
        seed: Of the sampling.

    Raises:
        ValueError: With fewer than 3 points per view (exclude points with `mask`).
    """
    if local_points.shape[1] < 3:
        raise ValueError(
            f"a similarity needs at least 3 points per view, got {local_points.shape[1]}; "
            "exclude points with `mask`"
        )
    pairs = torch.cat((local_points, world_points), dim=-1).to(torch.float32)
    weights = usable_weights(pairs, confidence, mask)
    pairs, weights = off_mps(pairs.where(weights[..., None] > 0, 0)), off_mps(weights)
    parts = [
        _align(some, their_weights, min_inlier_ratio, seed)
        for some, their_weights in zip(
            pairs.split(_VIEWS_AT_ONCE), weights.split(_VIEWS_AT_ONCE), strict=True
        )
    ]
    scale, rotation, translation, aligned, inlier_ratio = (
        torch.cat(field).to(local_points.device) for field in zip(*parts, strict=True)
    )
    return Alignment(Similarity(scale, rotation, translation), aligned, inlier_ratio)


def _align(
    pairs: Float[Tensor, "views points 6"],
    weights: Float[Tensor, "views points"],
    min_inlier_ratio: float,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return scale, rotation, translation, whether aligned, and inlier ratio of each view."""
    # A sample may hold a point twice, and more points than were sampled prove no more.
    trials = (weights > 0).sum(dim=-1).clamp(max=_SAMPLE_POINTS)
    generator = torch.Generator().manual_seed(seed)
    chosen = even_sample(weights, min(_SAMPLE_POINTS, pairs.shape[1]), generator)
    local, world = take_points(pairs, chosen).split(3, dim=-1)
    # The sample is drawn by weight, so that its members weigh the same.
    weights = (weights.gather(1, chosen) > 0).to(local)
    allowed = _MAX_DISTANCE * _spread(world, weights)
    fit = _best_of_triangles(local, world, weights, allowed, generator)
    fit, kept = _refine(fit, local, world, weights, allowed)
    near = _distance_squared(fit, local, world) < allowed.square()[:, None]
    inlier_ratio = (near & (weights > 0)).sum(dim=-1) / weights.sum(dim=-1).clamp(min=1)
    # At the centre of a view's points, about this share of them is so near.
    chance = torch.full_like(inlier_ratio, _MAX_DISTANCE**3)
    aligned = (
        (inlier_ratio >= min_inlier_ratio)
        & (inlier_ratio * trials >= _MIN_POINTS)
        & (log_false_alarms(inlier_ratio, trials, chance, _TRIPLES) < LOG_RARE)
        & (_thickness(local, kept) > _MIN_THICKNESS)
    )
    return (
        fit.scale.where(aligned, torch.nan),
        fit.rotation.where(aligned[:, None, None], torch.nan),
        fit.translation.where(aligned[:, None], torch.nan),
        aligned,
        inlier_ratio,
    )


def _spread(
    points: Float[Tensor, "views points 3"], weights: Float[Tensor, "views points"]
) -> Float[Tensor, " views"]:
    """Return the median distance of points from their median."""
    points, weights = points[:, :MEDIAN_POINTS], weights[:, :MEDIAN_POINTS]
    centre = weighted_median(points.mT, weights[:, None].expand(-1, 3, -1))
    return weighted_median(torch.linalg.vector_norm(points - centre[:, None], dim=-1), weights)


def _best_of_triangles(
    local: Float[Tensor, "views points 3"],
    world: Float[Tensor, "views points 3"],
    weights: Float[Tensor, "views points"],
    threshold: Float[Tensor, " views"],
    generator: torch.Generator,
) -> Similarity:
    """Return, per view, the similarity between two triangles that suits most points (MSAC)."""
    triples = torch.randint(local.shape[1], (_TRIPLES, 3), generator=generator)
    candidates = _between_triangles(local[:, triples], world[:, triples])
    few = slice(0, _SCORED_POINTS)
    moved = candidates(local[:, None, few].expand(-1, _TRIPLES, -1, -1))
    relative = (moved - world[:, None, few]).square().sum(-1) / threshold.square()[:, None, None]
    # Comparing also turns the nan of a flat triangle into a full error.
    gain = (1 - relative).where(relative < 1, 0) * weights[:, None, few]
    best = gain.sum(dim=-1).argmax(dim=-1)
    return candidates[torch.arange(len(local), device=local.device), best]


def _between_triangles(
    source: Float[Tensor, "*batch 3 3"], target: Float[Tensor, "*batch 3 3"]
) -> Similarity:
    """Return the similarity between two triangles, exact if they are similar."""
    source_mean, target_mean = source.mean(dim=-2), target.mean(dim=-2)
    source_size = torch.linalg.matrix_norm(source - source_mean[..., None, :])
    scale = torch.linalg.matrix_norm(target - target_mean[..., None, :]) / source_size
    rotation = triangle_frame(target) @ triangle_frame(source).mT
    moved = scale[..., None] * (rotation @ source_mean[..., None])[..., 0]
    return Similarity(scale, rotation, target_mean - moved)


def _refine(
    fit: Similarity,
    local: Float[Tensor, "views points 3"],
    world: Float[Tensor, "views points 3"],
    weights: Float[Tensor, "views points"],
    gate: Float[Tensor, " views"],
) -> tuple[Similarity, Float[Tensor, "views points"]]:
    """Return the robust fits, and the weights that they gave to the points."""
    robust = weights
    for _ in range(_STEPS):
        squared = _distance_squared(fit, local, world)
        scale = _SCALE_DEVIATIONS * _noise(squared, weights, gate)
        scale = torch.maximum(scale, _MIN_SCALE * gate)
        robust = weights * geman_mcclure_weight(squared, scale[:, None])
        fit = fit_similarity(local, world, robust)
    return fit, robust


def _distance_squared(
    fit: Similarity,
    local: Float[Tensor, "views points 3"],
    world: Float[Tensor, "views points 3"],
) -> Float[Tensor, "views points"]:
    return (fit(local) - world).square().sum(dim=-1)


def _noise(
    squared: Float[Tensor, "views points"],
    weights: Float[Tensor, "views points"],
    gate: Float[Tensor, " views"],
) -> Float[Tensor, " views"]:
    """Return the standard deviation per axis of the distances within a gate, robustly."""
    few, weights = squared[:, :MEDIAN_POINTS], weights[:, :MEDIAN_POINTS]
    inside = weights * (few < gate.square()[:, None])
    return weighted_median(few, inside).sqrt() / MEDIAN_LENGTH_3D


def _thickness(
    points: Float[Tensor, "views points 3"], weights: Float[Tensor, "views points"]
) -> Float[Tensor, " views"]:
    """Return the second largest extent of points relative to the largest; 0 for a line."""
    shares = (weights / weights.sum(dim=-1, keepdim=True))[..., None]
    centred = points - (shares * points).sum(dim=-2, keepdim=True)
    covariance = in_double((shares * centred).mT @ centred).nan_to_num(0, 0, 0)
    _, middle, largest = torch.linalg.eigvalsh(covariance).unbind(-1)
    ratio = middle / largest.where(largest > 0, torch.inf)
    return ratio.clamp(min=0).sqrt().to(points)
