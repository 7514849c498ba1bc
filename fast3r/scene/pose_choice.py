"""Which pose a view has: of two ways to find it, the one whose world points land nearest."""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.alignment import align_local_to_world
from fast3r.geometry.cameras import invert_rigid, pixel_grid, project
from fast3r.geometry.poses import solve_poses
from fast3r.geometry.reference import solve_poses_reference
from fast3r.geometry.robust import every_nth, usable_weights, weighted_median
from fast3r.scene.batches import Batch

PoseRecipe = Literal["robust", "pointmaps", "reference"]

MIN_INLIER_RATIO = 0.15
"""Share of the confidence whose points must land near their pixels."""

# Of the long side. With smooth errors of 2 to 8 % in simulated pointmaps, half of it lost views
# and twice of it gained none, and the poses were the same: the fit estimates the noise itself.
_MAX_REPROJECTION = 24 / 512
# Share of the points that the two pointmaps must agree on for a pose from nothing but that. In
# the same simulation such poses were off by a few degrees, 17 at most; pure noise agreed on 7 %.
_MIN_AGREEMENT = 0.25
_SAMPLE_PIXELS = 4096


class Sample(NamedTuple):
    """Some pixels of each view of a batch, the same in all."""

    pixels: Float[Tensor, "1 points 2"]
    world: Float[Tensor, "views points 3"]
    weights: Float[Tensor, "views points"]
    """Confidence; 0 where the world point does not count."""
    local_depth: Float[Tensor, "views points"] | None
    threshold_px: float
    """How far from its pixel a world point may land."""


class Poses(NamedTuple):
    """Poses of a batch, and how well world points fit the pixels that saw them."""

    world_from_camera: Float[Tensor, "views 4 4"]
    registered: Bool[Tensor, " views"]
    inlier_ratio: Float[Tensor, " views"]
    """Share of the confidence within the threshold."""
    reprojection_px: Float[Tensor, " views"]
    """Median error of those points; nan without any."""
    cost: Float[Tensor, " views"]
    """Mean squared error in units of the threshold, none counting for more than 1."""


def find_poses(
    batch: Batch,
    sample: Sample,
    intrinsics: Float[Tensor, "views 3 3"],
    recipe: PoseRecipe,
    seed: int,
) -> Poses:
    """Return the poses of a batch.

    Raises:
        ValueError: The recipe is unknown.
    """
    if recipe in ("robust", "pointmaps"):
        return _robust_poses(batch, sample, intrinsics, seed)
    if recipe == "reference":
        return _reference_poses(batch, sample, intrinsics)
    raise ValueError(f"pose_recipe must be robust, pointmaps or reference, got {recipe!r}")


def _robust_poses(
    batch: Batch, sample: Sample, intrinsics: Float[Tensor, "views 3 3"], seed: int
) -> Poses:
    """Return for each view the better of two poses.

    PnP minimises what they are compared by, so the similarity wins only where PnP has lost its
    way or given up, because too few world points land near their pixels.
    """
    step = every_nth(batch.world.shape[1] * batch.world.shape[2])
    world = batch.world.flatten(1, 2)[:, ::step]
    confidence = batch.world_confidence.flatten(1)[:, ::step]
    found = solve_poses(
        world,
        _pixels(batch)[:, ::step],
        intrinsics,
        confidence=confidence,
        max_reprojection_px=sample.threshold_px,
        min_inlier_ratio=MIN_INLIER_RATIO,
        seed=seed,
    )
    by_pnp = judged(sample, intrinsics, found.world_from_camera)
    by_pnp = by_pnp._replace(
        registered=found.registered,
        inlier_ratio=found.inlier_ratio,
        reprojection_px=found.reprojection_px,
    )
    if batch.local is None:
        return by_pnp
    fit = align_local_to_world(
        batch.local.flatten(1, 2)[:, ::step],
        world,
        confidence=confidence,
        min_inlier_ratio=_MIN_AGREEMENT,
        seed=seed,
    )
    rigid = fit.world_from_local.matrix
    rigid[:, :3, :3] = fit.world_from_local.rotation
    by_alignment = judged(sample, intrinsics, rigid)._replace(registered=fit.aligned)
    return _better(by_pnp, by_alignment)


def _reference_poses(batch: Batch, sample: Sample, intrinsics: Float[Tensor, "views 3 3"]) -> Poses:
    """Return poses view by view, since the reference knows one focal length at a time."""
    world, confidence = batch.world.cpu(), batch.world_confidence.cpu()
    found = [
        solve_poses_reference([world[i]], [confidence[i]], intrinsics[i, 0, 0].item())
        for i in range(len(world))
    ]
    poses = torch.cat([estimate.world_from_camera for estimate in found]).to(intrinsics)
    registered = torch.cat([estimate.registered for estimate in found]).to(poses.device)
    return judged(sample, intrinsics, poses)._replace(registered=registered)


def _better(first: Poses, second: Poses) -> Poses:
    """Return for each view the registered pose, and of two that are the one of smaller cost."""
    take = second.registered & (~first.registered | (second.cost < first.cost))
    pairs = zip(first, second, strict=True)
    return Poses(*(b.where(take.view(-1, *[1] * (b.ndim - 1)), a) for a, b in pairs))


def judged(
    sample: Sample,
    intrinsics: Float[Tensor, "views 3 3"],
    world_from_camera: Float[Tensor, "views 4 4"],
) -> Poses:
    """Return poses with their errors; none is registered yet."""
    pixels, depth = project(sample.world, intrinsics, invert_rigid(world_from_camera))
    error = torch.linalg.vector_norm(pixels - sample.pixels, dim=-1) / sample.threshold_px
    error = error.where((depth > 0) & (error < 1), 1)
    weight = sample.weights.sum(dim=-1).clamp(min=torch.finfo(torch.float32).tiny)
    inlier_weights = sample.weights * (error < 1)
    return Poses(
        world_from_camera=world_from_camera,
        registered=torch.zeros_like(weight, dtype=torch.bool),
        inlier_ratio=inlier_weights.sum(dim=-1) / weight,
        reprojection_px=weighted_median(error, inlier_weights) * sample.threshold_px,
        cost=(sample.weights * error.square()).sum(dim=-1) / weight,
    )


def sampled(batch: Batch, seed: int) -> Sample:
    """Return some pixels of each view, by which poses are compared and depth is scaled."""
    pixels = _pixels(batch)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(pixels.shape[1], generator=generator)[:_SAMPLE_PIXELS]
    chosen = chosen.to(pixels.device)
    world = batch.world.flatten(1, 2)[:, chosen]
    weights = usable_weights(world, batch.world_confidence.flatten(1)[:, chosen], None)
    local_depth = None if batch.local is None else batch.local[..., 2].flatten(1)[:, chosen]
    return Sample(
        pixels=pixels[:, chosen],
        world=world.where(weights[..., None] > 0, 0),
        weights=weights,
        local_depth=local_depth,
        threshold_px=_MAX_REPROJECTION * max(batch.world.shape[1:3]),
    )


def _pixels(batch: Batch) -> Float[Tensor, "1 points 2"]:
    height, width = batch.world.shape[1:3]
    return pixel_grid(height, width, batch.world.device).flatten(0, 1)[None]


def why_not_registered(batch: Batch, sample: Sample, poses: Poses, place: int) -> str:
    """Say why a view of a batch was not registered."""
    if not (batch.world_confidence[place] > 0).any():
        return "its mask leaves nothing of it"
    ratio, error_px = poses.inlier_ratio[place].item(), poses.reprojection_px[place].item()
    figures = f"{ratio:.0%} of them land within {sample.threshold_px:.1f} px of their pixels"
    if math.isfinite(error_px):
        figures += f" (median {error_px:.1f} px)"
    if ratio < MIN_INLIER_RATIO:
        return f"no pose fits its points: {figures}, {MIN_INLIER_RATIO:.0%} are needed"
    return f"its points do not determine a pose, although {figures}"
