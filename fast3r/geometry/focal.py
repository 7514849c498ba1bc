"""Focal lengths from pointmaps in their own camera's frame."""

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import pixel_grid
from fast3r.geometry.robust import (
    MEDIAN_LENGTH_2D,
    MEDIAN_POINTS,
    even_sample,
    every_nth,
    geman_mcclure_weight,
    take_points,
    usable_weights,
    weighted_median,
)
from fast3r.geometry.transforms import off_mps

_SAMPLE_POINTS, _MIN_POINTS = 16384, 10
# A point is explained if it lands near its pixel: within this fraction of the pixels' root mean
# square distance from the principal point. By chance under 2 % do.
_NEAR, _MIN_SHARE = 0.15, 0.15
# Of the points, as many do not count: those of least confidence.
_LEAST_SHARE = 0.1
_STEPS = 10
_SCALE_DEVIATIONS = 3.0
# Keeps the weights of noiseless points finite; a thousandth of a pixel at a focal of 1000.
_MIN_SCALE = 1e-6


@torch.no_grad()
def estimate_focal(
    points: Float[Tensor, "views height width 3"],
    confidence: Float[Tensor, "views height width"] | None = None,
    *,
    principal_point: Float[Tensor, "views 2"] | None = None,
    seed: int = 0,
) -> Float[Tensor, " views"]:
    """Return the focal length of each view in pixels, nan where the points do not tell it.

    They do not where fewer than 10 are usable, or where no focal length brings at least 15 % of
    them near their pixels.

    A pixel p (from the principal point) should see its point along the slope p / f. The inverse
    focal is fitted to the slopes x/z and y/z, so that noise in the points does not bias it, by
    reweighting with Geman-McClure from a median start. The least sure tenth of the points does not
    count; of large views a sample of 16384 points is used.

    Args:
        points: In the frame of the camera that saw them; the world frame will do for the view
            that defines it.
        confidence: Relative trust in each point; 0 or less excludes it.
        principal_point: In pixels; the image centre by default.
        seed: Of the sampling.
    """
    offsets = _offsets(points, principal_point)
    step = every_nth(offsets.shape[1])
    flat = points.flatten(1, 2)[:, ::step]
    trust = None if confidence is None else confidence.flatten(1)[:, ::step]
    weights = usable_weights(flat, trust, mask=flat[..., 2] > 0)
    return _fit(flat, offsets[:, ::step], weights, seed).to(points.device)


def _offsets(
    points: Float[Tensor, "views height width 3"], principal_point: Float[Tensor, "views 2"] | None
) -> Float[Tensor, "views pixels 2"]:
    """Return pixel centres relative to the principal point."""
    views, height, width, _ = points.shape
    grid = pixel_grid(height, width, points.device).flatten(0, 1)
    if principal_point is None:
        principal_point = grid.new_tensor((width / 2, height / 2)).expand(views, 2)
    return grid - principal_point[:, None]


def _fit(
    points: Float[Tensor, "views points 3"],
    offsets: Float[Tensor, "views points 2"],
    weights: Float[Tensor, "views points"],
    seed: int,
) -> Float[Tensor, " views"]:
    points, offsets, weights = (off_mps(part.float()) for part in (points, offsets, weights))
    enough = (weights > 0).sum(dim=-1) >= _MIN_POINTS
    count = min(_SAMPLE_POINTS, points.shape[1])
    generator = torch.Generator().manual_seed(seed)
    chosen = even_sample((weights > 0).float(), count, generator)
    points, offsets = take_points(points, chosen), take_points(offsets, chosen)
    weights = _without_the_least(weights.gather(1, chosen))
    slopes = points[..., :2] / points[..., 2:]
    slopes = slopes.where(weights[..., None] > 0, 0)
    focal_px = 1 / _fit_inverse_focal(slopes, offsets, weights)
    believed = _share_explained(focal_px, slopes, offsets, weights) >= _MIN_SHARE
    return focal_px.where(believed & enough, torch.nan)


def _without_the_least(weights: Float[Tensor, "views points"]) -> Float[Tensor, "views points"]:
    """Return the weights with the least of the positive ones set to 0."""
    usable = weights.where(weights > 0, torch.nan)
    # View by view, as torch refuses quantiles of more than 16 million numbers in all.
    least = torch.stack([view.nanquantile(_LEAST_SHARE) for view in usable])
    return weights.where(weights >= least[:, None], 0)


def _fit_inverse_focal(
    slopes: Float[Tensor, "views points 2"],
    offsets: Float[Tensor, "views points 2"],
    weights: Float[Tensor, "views points"],
) -> Float[Tensor, " views"]:
    """Return 1 / f with slope = offset / f, nan where not positive or not told."""
    squared_offset = offsets.square().sum(dim=-1)
    product = (slopes * offsets).sum(dim=-1)
    # Near the principal point a pixel tells little; at it, nothing.
    single = product / squared_offset.clamp(min=0.25)
    inverse = weighted_median(single, weights * squared_offset.sqrt())
    gate = torch.full_like(inverse, torch.inf)
    for _ in range(_STEPS):
        error = (slopes - inverse[:, None, None] * offsets).square().sum(dim=-1)
        few = error[:, :MEDIAN_POINTS]
        inside = weights[:, :MEDIAN_POINTS] * (few < gate.square()[:, None])
        noise = weighted_median(few, inside).sqrt()
        gate = (_SCALE_DEVIATIONS / MEDIAN_LENGTH_2D * noise).clamp(min=_MIN_SCALE)
        robust = weights * geman_mcclure_weight(error, gate[:, None])
        inverse = (robust * product).sum(dim=-1) / (robust * squared_offset).sum(dim=-1)
    return inverse.where(inverse > 0, torch.nan)


def _share_explained(
    focal_px: Float[Tensor, " views"],
    slopes: Float[Tensor, "views points 2"],
    offsets: Float[Tensor, "views points 2"],
    weights: Float[Tensor, "views points"],
) -> Float[Tensor, " views"]:
    """Return the share of the weight whose points land near their pixels."""
    error = (focal_px[:, None, None] * slopes - offsets).square().sum(dim=-1)
    near = error < _NEAR**2 * offsets.square().sum(dim=-1).mean(dim=-1, keepdim=True)
    return (weights * near).sum(dim=-1) / weights.sum(dim=-1)
