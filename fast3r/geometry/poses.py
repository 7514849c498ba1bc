"""Camera poses from pointmaps (PnP): every view at once, robust to outliers, failures reported.

A search among sampled triples finds a pose near the truth (pose_search.py); robust Gauss-Newton
steps on a sample and then on all points make it exact (pose_refinement.py).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fast3r.geometry.cameras import rays_through
from fast3r.geometry.pose_refinement import (
    Sightings,
    determinacy,
    gauss_newton_step,
    noise_px,
    reprojection_squared,
)
from fast3r.geometry.pose_search import MAX_CANDIDATES, search_poses
from fast3r.geometry.robust import (
    LOG_RARE,
    MEDIAN_POINTS,
    even_sample,
    log_false_alarms,
    take_points,
    usable_weights,
    weighted_median,
)
from fast3r.geometry.transforms import nearest_rotation, off_mps

_MIN_POINTS = 6
_SAMPLE_POINTS, _SAMPLE_STEPS = 4096, 4
_FINAL_STEPS = 2
# Bound memory; the second also lets a processor's cache hold the rows of the views at hand.
_VIEWS_AT_ONCE, _FINAL_POINTS_AT_ONCE = 128, 2**18
# At 3 standard deviations Geman-McClure keeps most of the precision of least squares.
_SCALE_DEVIATIONS = 3.0
# The rounding of float32 fakes about 4e-6.
_MIN_DETERMINACY = 1e-5


class PoseEstimate(NamedTuple):
    """Poses found for a set of views."""

    world_from_camera: Float[Tensor, "views 4 4"]
    """Rigid poses, OpenCV axes; nan where not registered."""

    registered: Bool[Tensor, " views"]
    """False where no pose is determined by enough of the points."""

    inlier_ratio: Float[Tensor, " views"]
    """Share of the confidence whose points land within the reprojection threshold."""

    reprojection_px: Float[Tensor, " views"]
    """Median reprojection error of those points; nan without any."""


@dataclass(frozen=True)
class _Views:
    """What is known of the views: the arguments of `solve_poses`, checked and completed."""

    points: Float[Tensor, "views points 3"]
    pixels: Float[Tensor, "views points 2"]
    intrinsics: Float[Tensor, "views 3 3"]
    weights: Float[Tensor, "views points"]

    def of(self, chosen: Int[Tensor, " chosen"]) -> "_Views":
        return _Views(
            self.points[chosen],
            self.pixels[chosen],
            self.intrinsics[chosen],
            self.weights[chosen],
        )


@dataclass(frozen=True)
class _Frame:
    """The normalised world: centred, with half of the points within a distance of 1."""

    centre: Float[Tensor, "views 3"]
    spread: Float[Tensor, " views"]


@torch.no_grad()
def solve_poses(
    points: Float[Tensor, "views points 3"],
    pixels: Float[Tensor, "#views points 2"],
    intrinsics: Float[Tensor, "views 3 3"],
    *,
    confidence: Float[Tensor, "views points"] | None = None,
    mask: Bool[Tensor, "views points"] | None = None,
    max_reprojection_px: float = 12.0,
    min_inlier_ratio: float = 0.15,
    seed: int = 0,
) -> PoseEstimate:
    """Return the pose of each view from its world points and the pixels that saw them.

    A view's result depends on nothing but its own points, the options and the seed. Computed in
    float32, small systems in float64.

    Args:
        points: World points; those that are not finite do not count.
        pixels: Where they were seen, centres at +0.5; one set may serve all views
            (`pixel_grid(height, width).flatten(0, 1)[None]` for whole pointmaps).
        intrinsics: In the same pixels. A view with nan in it is not registered.
        confidence: Relative trust in each point; 0 or less excludes it.
        mask: False excludes a point; pads views of unequal numbers of points.
        max_reprojection_px: A point within this distance of its pixel is an inlier. Two or
            three times the noise is best; the final fit estimates the noise itself.
        min_inlier_ratio: With a smaller share of inliers a view is not registered.
        seed: Of the sampling.

    Raises:
        ValueError: If there is no view or no point at all, or if the threshold is not positive.
    """
    if 0 in points.shape:
        raise ValueError(
            f"poses need at least one view and one point, got points of shape "
            f"{tuple(points.shape)}; exclude single points with `mask`"
        )
    if max_reprojection_px <= 0:
        raise ValueError(f"max_reprojection_px must be positive, got {max_reprojection_px}")
    weights = usable_weights(points, confidence, mask)
    # Points that do not count must still be finite, as 0 times nan is nan.
    points = points.where(weights[..., None] > 0, 0)
    inputs = (points, pixels.expand(len(points), -1, -1), intrinsics, weights)
    views = _Views(*(off_mps(part.to(torch.float32)) for part in inputs))
    chunks = torch.arange(len(points), device=views.points.device).split(_VIEWS_AT_ONCE)
    parts = [
        _solve(views.of(chunk), max_reprojection_px, min_inlier_ratio, seed) for chunk in chunks
    ]
    return PoseEstimate(*(torch.cat(field).to(points.device) for field in zip(*parts, strict=True)))


def _solve(views: _Views, threshold_px: float, min_inlier_ratio: float, seed: int) -> PoseEstimate:
    generator = torch.Generator().manual_seed(seed)
    sample = _sample(views, generator)
    frame = _frame_of(sample)
    seen = _observe(sample, frame)
    poses = search_poses(seen, threshold_px, generator)
    for _ in range(_SAMPLE_STEPS):
        poses = gauss_newton_step(seen, poses, _robust_scale_px(seen, poses, threshold_px))
    poses = _refine_on_all(views, frame, poses, _robust_scale_px(seen, poses, threshold_px))
    usable = (views.weights > 0).sum(dim=-1)
    trusted, inlier_ratio, reprojection_px = _judge(seen, poses, usable, threshold_px)
    registered = trusted & (inlier_ratio >= min_inlier_ratio)
    world_from_camera = _to_world(poses, frame).where(registered[:, None, None], torch.nan)
    return PoseEstimate(world_from_camera, registered, inlier_ratio, reprojection_px)


def _sample(views: _Views, generator: torch.Generator) -> _Views:
    """Return points drawn by weight, which therefore weigh the same, in random order."""
    count = min(_SAMPLE_POINTS, views.points.shape[1])
    chosen = even_sample(views.weights, count, generator)
    return _Views(
        take_points(views.points, chosen),
        take_points(views.pixels, chosen),
        views.intrinsics,
        (views.weights.gather(1, chosen) > 0).to(torch.float32),
    )


def _frame_of(sample: _Views) -> _Frame:
    points, weights = sample.points[:, :MEDIAN_POINTS], sample.weights[:, :MEDIAN_POINTS]
    centre = weighted_median(points.mT, weights[:, None].expand(-1, 3, -1))
    distances = torch.linalg.vector_norm(points - centre[:, None], dim=-1)
    return _Frame(centre, weighted_median(distances, weights))


def _observe(views: _Views, frame: _Frame) -> Sightings:
    """Return the points in the normalised world, and their pixels from the principal point."""
    points = (views.points - frame.centre[:, None]) / frame.spread[:, None, None]
    focal_px = views.intrinsics.diagonal(dim1=-2, dim2=-1)[:, :2]
    offsets = rays_through(views.pixels, views.intrinsics)[..., :2] * focal_px[:, None]
    return Sightings(points.mT.contiguous(), offsets.mT.contiguous(), views.weights, focal_px)


def _robust_scale_px(
    seen: Sightings, poses: Float[Tensor, "views 3 4"], threshold_px: float
) -> Float[Tensor, " views"]:
    """Return a scale that follows the noise, but within reason of the threshold."""
    squared = reprojection_squared(seen.first(MEDIAN_POINTS), poses)
    scale_px = _SCALE_DEVIATIONS * noise_px(squared, threshold_px)
    return scale_px.clamp(threshold_px / 50, 2 * threshold_px)


def _refine_on_all(
    views: _Views,
    frame: _Frame,
    poses: Float[Tensor, "views 3 4"],
    scale_px: Float[Tensor, " views"],
) -> Float[Tensor, "views 3 4"]:
    poses = poses.clone()
    at_once = max(1, _FINAL_POINTS_AT_ONCE // views.points.shape[1])
    for some in torch.arange(len(poses), device=poses.device).split(at_once):
        seen = _observe(views.of(some), _Frame(frame.centre[some], frame.spread[some]))
        for _ in range(_FINAL_STEPS):
            poses[some] = gauss_newton_step(seen, poses[some], scale_px[some])
    poses[..., :3] = nearest_rotation(poses[..., :3])
    return poses


def _judge(
    seen: Sightings,
    poses: Float[Tensor, "views 3 4"],
    usable: Int[Tensor, " views"],
    threshold_px: float,
) -> tuple[Bool[Tensor, " views"], Float[Tensor, " views"], Float[Tensor, " views"]]:
    """Return which poses are to be trusted, their inlier ratio and median error."""
    squared = reprojection_squared(seen, poses)
    inlier = (squared < threshold_px**2).to(torch.float32)
    inlier_ratio = inlier.sum(dim=-1) / seen.weights.sum(dim=-1).clamp(min=1)
    reprojection_px = weighted_median(squared, inlier).sqrt()
    # A sample may hold a point twice, and more points than were sampled prove no more.
    trials = usable.clamp(max=seen.weights.shape[-1])
    chance = _chance_of_an_inlier(seen, trials, threshold_px)
    scale_px = _robust_scale_px(seen, poses, threshold_px)
    # Noise alone makes a line of points look as thick as its angle, and so determine a pose.
    noise_angle = scale_px / _SCALE_DEVIATIONS / seen.focal_px[:, 0]
    trusted = (
        (inlier_ratio * trials >= _MIN_POINTS)
        & (log_false_alarms(inlier_ratio, trials, chance, MAX_CANDIDATES) < LOG_RARE)
        & (determinacy(seen, poses, scale_px) > noise_angle.square().clamp(min=_MIN_DETERMINACY))
    )
    return trusted, inlier_ratio, reprojection_px


def _chance_of_an_inlier(
    seen: Sightings, trials: Int[Tensor, " views"], threshold_px: float
) -> Float[Tensor, " views"]:
    """Return the probability that a random pixel lies within the threshold of a given one."""
    usable = seen.weights[:, None] > 0
    low = seen.pixels.where(usable, torch.inf).amin(dim=-1)
    high = seen.pixels.where(usable, -torch.inf).amax(dim=-1)
    # The range of n uniform numbers falls short of their interval by this factor.
    widening = (trials + 1) / (trials - 1)
    area = ((high - low).clamp(min=0) * widening[:, None]).prod(dim=-1)
    return (math.pi * threshold_px**2 / area).clamp(max=1)


def _to_world(poses: Float[Tensor, "views 3 4"], frame: _Frame) -> Float[Tensor, "views 4 4"]:
    """Return world_from_camera in the units of the world."""
    rotation = poses[..., :3].mT
    centre = frame.centre - frame.spread[:, None] * (rotation @ poses[..., 3:])[..., 0]
    world_from_camera = torch.zeros(len(poses), 4, 4, device=poses.device)
    world_from_camera[:, :3, :3] = rotation
    world_from_camera[:, :3, 3] = centre
    world_from_camera[:, 3, 3] = 1
    return world_from_camera
