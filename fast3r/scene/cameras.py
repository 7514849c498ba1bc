"""From pointmaps to cameras and depth, in pixels of the original photos.

The local pointmap of a view tells its focal length and the shape of its depth; the world pointmap
tells where the camera stands and how large that depth is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.alignment import align_local_to_world
from fast3r.geometry.cameras import Camera, invert_rigid, pixel_grid, project
from fast3r.geometry.poses import solve_poses
from fast3r.geometry.reference import solve_poses_reference
from fast3r.geometry.robust import every_nth, usable_weights, weighted_median
from fast3r.geometry.transforms import Similarity
from fast3r.models.prediction import Prediction
from fast3r.scene.batches import Batch, batches
from fast3r.scene.focals import (
    ShareFocal,
    estimate_focals,
    image_intrinsics,
    original_intrinsics,
    share_focals,
)
from fast3r.scene.outputs import Keep, in_memory
from fast3r.scene.panoramas import tied_faces
from fast3r.views.turning import network_from_photo_camera
from fast3r.views.view import View

PoseRecipe = Literal["robust", "reference"]

# Of the long side. With smooth errors of 2 to 8 % in simulated pointmaps, half of it lost views
# and twice of it gained none, and the poses were the same: the fit estimates the noise itself.
_MAX_REPROJECTION = 24 / 512
_MIN_INLIER_RATIO = 0.15
# Share of the points that the two pointmaps must agree on for a pose from nothing but that. In
# the same simulation such poses were off by a few degrees, 17 at most; pure noise agreed on 7 %.
_MIN_AGREEMENT = 0.25
# Pixels of each view by which poses are compared and depth is scaled.
_SAMPLE_PIXELS = 4096


@dataclass(frozen=True)
class RecoveredCameras:
    """Cameras of a set of views: lists that run parallel to it, with all tensors on the CPU."""

    cameras: list[Camera | None]
    """In pixels of the original photos; None where no pose was found."""

    depth: list[Float[Tensor, "_height _width"]]
    """Distance along the camera's z axis at network size, in world units; 0 where unknown."""

    confidence: list[Float[Tensor, "_height _width"]]
    """How sure the network is of the depth; at least 1."""

    failures: list[str | None]
    """Why a view has no camera."""

    seen_focals_px: Float[Tensor, " views"]
    """Focal length that each view's own pointmap tells, in pixels of its original photo; nan where
    it tells none."""


class _Sample(NamedTuple):
    """Some pixels of each view of a batch, the same in all."""

    pixels: Float[Tensor, "1 points 2"]
    world: Float[Tensor, "views points 3"]
    weights: Float[Tensor, "views points"]
    """Confidence; 0 where the world point does not count."""
    local_depth: Float[Tensor, "views points"] | None


class _Poses(NamedTuple):
    """Poses of a batch, and how well world points fit the pixels that saw them."""

    world_from_camera: Float[Tensor, "views 4 4"]
    registered: Bool[Tensor, " views"]
    inlier_ratio: Float[Tensor, " views"]
    """Share of the confidence within the threshold."""
    reprojection_px: Float[Tensor, " views"]
    """Median error of those points; nan without any."""
    cost: Float[Tensor, " views"]
    """Mean squared error in units of the threshold, none counting for more than 1."""


def recover_cameras(
    predictions: Sequence[Prediction],
    views: Sequence[View],
    *,
    share_focal: ShareFocal = "camera",
    pose_recipe: PoseRecipe = "robust",
    known_intrinsics: Mapping[int, Float[Tensor, "3 3"]] | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    keep: Keep = in_memory,
) -> RecoveredCameras:
    """Return the camera and the depth of each view.

    The world is that of the world pointmaps: roughly the frame of the first camera, which is
    found like all others and not set to the identity.

    Args:
        predictions: One per view, of batch size 1.
        views: What was predicted; their masks exclude points.
        share_focal: Which views have one focal length in common, see `share_focals`.
        pose_recipe: "robust" finds each pose in two ways, by PnP on the world points and from the
            similarity between the two pointmaps, and takes the one of smaller reprojection
            error. "reference" is the PnP of the published evaluation, to compare with; it takes
            our focal lengths and needs OpenCV.
        known_intrinsics: Of some views by their index, in pixels of the original photos; other
            views of the same camera take their focal length.
        device: Where to compute.
        seed: Of all sampling.
        keep: Takes depth maps to where they stay.

    Raises:
        ValueError: An option is unknown.
    """
    device = torch.device(device)
    masks = [view.mask for view in views]  # once, as each look may decode the photo anew
    focals_px = torch.full((len(views),), torch.nan)
    for batch in batches(predictions, views, masks, device):
        focals_px[batch.views] = estimate_focals(batch, views, seed)
    seen_focals_px = focals_px.clone()
    known = {} if known_intrinsics is None else known_intrinsics
    for index, matrix in known.items():
        focals_px[index] = matrix[:2, :2].det().sqrt()
    focals_px = share_focals(focals_px, views, share_focal, known=known)
    original = [
        known[i].float() if i in known else original_intrinsics(view, focals_px[i])
        for i, view in enumerate(views)
    ]

    cameras: list[Camera | None] = [None] * len(views)
    failures: list[str | None] = [None] * len(views)
    depth: dict[int, Tensor] = {}
    for batch in batches(predictions, views, masks, device):
        intrinsics = torch.stack([image_intrinsics(views[i], original[i]) for i in batch.views])
        poses, depth_in_world = _place(batch, intrinsics.float().to(device), pose_recipe, seed)
        for place, index in enumerate(batch.views):
            if not poses.registered[place]:
                failures[index] = _reason(batch, poses, place)
            elif not focals_px[index].isfinite():
                failures[index] = "no focal length explains the points of this or any other view"
            else:
                cameras[index] = _camera(
                    views[index], original[index], poses.world_from_camera[place]
                )
                depth[index] = keep(f"{index}-depth", depth_in_world[place])
    for index, found in tied_faces(views, cameras).items():
        cameras[index], failures[index] = (None, found) if isinstance(found, str) else (found, None)
        depth[index] = _depth_for(found, predictions[index], views[index], device, seed)
    confidence = [_confidence(prediction) for prediction in predictions]
    maps = [
        depth[i] if i in depth else torch.zeros(view.height, view.width)
        for i, view in enumerate(views)
    ]
    return RecoveredCameras(cameras, maps, confidence, failures, seen_focals_px)


def _depth_for(
    camera: Camera | str, prediction: Prediction, view: View, device: torch.device, seed: int
) -> Float[Tensor, "height width"]:
    """Return the depth of a face that was tied to others; 0 where there is none."""
    depth = None
    if isinstance(camera, Camera):
        depth = depth_for_camera(prediction, view, camera, device=device, seed=seed)
    return torch.zeros(view.height, view.width) if depth is None else depth


def depth_for_camera(
    prediction: Prediction,
    view: View,
    camera: Camera,
    *,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Float[Tensor, "height width"] | None:
    """Return the depth of a view whose camera is known from elsewhere, in the predicted world.

    None where the world points do not land on their pixels under that camera.
    """
    (batch,) = batches([prediction], [view], [view.mask], torch.device(device))
    sample = _sampled(batch, seed)
    intrinsics = image_intrinsics(view, camera.intrinsics)[None].to(batch.world)
    image_pose = camera.world_from_camera @ invert_rigid(network_from_photo_camera(view))
    pose = image_pose[None].to(batch.world)
    judged = _judged(sample, intrinsics, pose, _threshold_px(batch))
    depth, scaled = _depth(batch, sample, pose)
    if judged.inlier_ratio[0] < _MIN_INLIER_RATIO or not scaled[0]:
        return None
    return depth[0].cpu()


def _place(
    batch: Batch, intrinsics: Float[Tensor, "views 3 3"], recipe: PoseRecipe, seed: int
) -> tuple[_Poses, Float[Tensor, "views height width"]]:
    """Return the poses of a batch, and depth maps in world units."""
    sample = _sampled(batch, seed)
    if recipe == "robust":
        poses = _robust_poses(batch, sample, intrinsics, seed)
    elif recipe == "reference":
        poses = _reference_poses(batch, sample, intrinsics)
    else:
        raise ValueError(f"pose_recipe must be robust or reference, got {recipe!r}")
    depth, scaled = _depth(batch, sample, poses.world_from_camera)
    return poses._replace(registered=poses.registered & scaled), depth


def _depth(
    batch: Batch, sample: _Sample, world_from_camera: Float[Tensor, "views 4 4"]
) -> tuple[Float[Tensor, "views height width"], Bool[Tensor, " views"]]:
    """Return depth maps in world units, and which of them have a scale."""
    rotation, centre = world_from_camera[:, :3, :3], world_from_camera[:, None, :3, 3]
    if batch.local is None:
        offsets = batch.world.flatten(1, 2) - centre
        depth = (offsets @ rotation[:, :, 2:]).view(batch.world.shape[:3])
        every = torch.ones(len(depth), dtype=torch.bool, device=depth.device)
        return depth.where(depth > 0, 0), every
    scale = _depth_scale(sample, ((sample.world - centre) @ rotation[:, :, 2:])[..., 0])
    depth = batch.local[..., 2] * scale[:, None, None]
    return depth.where(depth > 0, 0), scale > 0


def _depth_scale(
    sample: _Sample, world_depth: Float[Tensor, "views points"]
) -> Float[Tensor, " views"]:
    """Return world units per unit of the local pointmap, nan where no point tells it.

    The median over the points, weighted by confidence, of how much farther a world point is from
    the recovered camera than its local point: the scale that goes with this camera, whatever the
    similarity between the pointmaps would say.
    """
    assert sample.local_depth is not None
    ahead = (sample.local_depth > 0) & (world_depth > 0)
    ratio = (world_depth / sample.local_depth).where(ahead, 0)
    return weighted_median(ratio, sample.weights * ahead)


def _robust_poses(
    batch: Batch, sample: _Sample, intrinsics: Float[Tensor, "views 3 3"], seed: int
) -> _Poses:
    """Return for each view the better of two poses.

    PnP minimises what they are compared by, so the similarity wins only where PnP has lost its
    way or given up, because too few world points land near their pixels.
    """
    step = every_nth(batch.world.shape[1] * batch.world.shape[2])
    world = batch.world.flatten(1, 2)[:, ::step]
    confidence = batch.world_confidence.flatten(1)[:, ::step]
    threshold_px = _threshold_px(batch)
    found = solve_poses(
        world,
        _pixels(batch)[:, ::step],
        intrinsics,
        confidence=confidence,
        max_reprojection_px=threshold_px,
        min_inlier_ratio=_MIN_INLIER_RATIO,
        seed=seed,
    )
    by_pnp = _judged(sample, intrinsics, found.world_from_camera, threshold_px)
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
    rigid = _rigid(fit.world_from_local)
    by_alignment = _judged(sample, intrinsics, rigid, threshold_px)
    return _better(by_pnp, by_alignment._replace(registered=fit.aligned))


def _reference_poses(
    batch: Batch, sample: _Sample, intrinsics: Float[Tensor, "views 3 3"]
) -> _Poses:
    """Return poses view by view, since the reference knows one focal length at a time."""
    world, confidence = batch.world.cpu(), batch.world_confidence.cpu()
    found = [
        solve_poses_reference([world[i]], [confidence[i]], intrinsics[i, 0, 0].item())
        for i in range(len(world))
    ]
    poses = torch.cat([estimate.world_from_camera for estimate in found]).to(intrinsics)
    registered = torch.cat([estimate.registered for estimate in found]).to(poses.device)
    judged = _judged(sample, intrinsics, poses, _threshold_px(batch))
    return judged._replace(registered=registered)


def _rigid(similarity: Similarity) -> Float[Tensor, "views 4 4"]:
    """Return the pose of a camera whose frame a similarity maps to the world."""
    pose = similarity.matrix.clone()
    pose[:, :3, :3] = similarity.rotation
    return pose


def _better(first: _Poses, second: _Poses) -> _Poses:
    """Return for each view the registered pose, and of two that are the one of smaller cost."""
    take = second.registered & (~first.registered | (second.cost < first.cost))
    pairs = zip(first, second, strict=True)
    return _Poses(*(b.where(take.view(-1, *[1] * (b.ndim - 1)), a) for a, b in pairs))


def _judged(
    sample: _Sample,
    intrinsics: Float[Tensor, "views 3 3"],
    world_from_camera: Float[Tensor, "views 4 4"],
    threshold_px: float,
) -> _Poses:
    """Return poses with their errors; none is registered yet."""
    pixels, depth = project(sample.world, intrinsics, invert_rigid(world_from_camera))
    error = torch.linalg.vector_norm(pixels - sample.pixels, dim=-1) / threshold_px
    error = error.where((depth > 0) & (error < 1), 1)
    weight = sample.weights.sum(dim=-1).clamp(min=torch.finfo(torch.float32).tiny)
    inlier_weights = sample.weights * (error < 1)
    return _Poses(
        world_from_camera=world_from_camera,
        registered=torch.zeros_like(weight, dtype=torch.bool),
        inlier_ratio=inlier_weights.sum(dim=-1) / weight,
        reprojection_px=weighted_median(error, inlier_weights) * threshold_px,
        cost=(sample.weights * error.square()).sum(dim=-1) / weight,
    )


def _sampled(batch: Batch, seed: int) -> _Sample:
    pixels = _pixels(batch)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(pixels.shape[1], generator=generator)[:_SAMPLE_PIXELS]
    chosen = chosen.to(pixels.device)
    world = batch.world.flatten(1, 2)[:, chosen]
    weights = usable_weights(world, batch.world_confidence.flatten(1)[:, chosen], None)
    local_depth = None if batch.local is None else batch.local[..., 2].flatten(1)[:, chosen]
    return _Sample(pixels[:, chosen], world.where(weights[..., None] > 0, 0), weights, local_depth)


def _threshold_px(batch: Batch) -> float:
    """Return how far from its pixel a world point may land."""
    return _MAX_REPROJECTION * max(batch.world.shape[1:3])


def _pixels(batch: Batch) -> Float[Tensor, "1 points 2"]:
    height, width = batch.world.shape[1:3]
    return pixel_grid(height, width, batch.world.device).flatten(0, 1)[None]


def _camera(view: View, intrinsics: Tensor, world_from_image: Tensor) -> Camera:
    """Return the photo's camera from the pose of the image that the network saw."""
    return Camera(
        intrinsics=intrinsics,
        world_from_camera=world_from_image.cpu() @ network_from_photo_camera(view),
        height=view.original_height,
        width=view.original_width,
    )


def _confidence(prediction: Prediction) -> Float[Tensor, "height width"]:
    """Return the confidence of the pointmap that depth is made from."""
    pointmap = prediction.world if prediction.local is None else prediction.local
    return pointmap.confidence[0].to("cpu", torch.float32)


def _reason(batch: Batch, poses: _Poses, place: int) -> str:
    """Say why a view of a batch was not registered."""
    if not (batch.world_confidence[place] > 0).any():
        return "its mask leaves nothing of it"
    ratio, error_px = poses.inlier_ratio[place].item(), poses.reprojection_px[place].item()
    figures = f"{ratio:.0%} of them land within {_threshold_px(batch):.1f} px of their pixels"
    if math.isfinite(error_px):
        figures += f" (median {error_px:.1f} px)"
    if ratio < _MIN_INLIER_RATIO:
        return f"no pose fits its points: {figures}, {_MIN_INLIER_RATIO:.0%} are needed"
    return f"its points do not determine a pose, although {figures}"
