"""Passes over the same views become one scene, with what they disagree by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.geometry.transforms import Similarity
from fast3r.scene.ensemble.alignment import align_passes
from fast3r.scene.ensemble.means import agreeing, point_median, rotation_mean, rotation_median
from fast3r.scene.ensemble.record import BUNDLED, Calibration, CameraUncertainty, Uncertainty
from fast3r.scene.panoramas import with_tied_faces
from fast3r.scene.reconstruction import Reconstruction

# Differences up to these are never a reason to leave a pass out; the second is of the median
# distance of cameras from their median.
_AGREE_DEG, _AGREE_CENTRE = 2.0, 0.02
_ALLOWED_USUAL = 4.0
# Standard deviation of a Gaussian, of whose errors half are smaller than 1.
_PROBABLE = 0.6745


@dataclass(frozen=True)
class Pass:
    """What one pass says of the views, in the order of the scene."""

    scene: Reconstruction
    """In a world of its own."""

    points: Float[Tensor, "points 3"]
    """Where its world head puts some pixels, the same in all passes."""

    weights: Float[Tensor, " points"]
    """Confidence of these; 0 where they do not count."""


class _Poses(NamedTuple):
    """Cameras of all passes in the common frame; zeros where a pass has none."""

    rotations: Float[Tensor, "passes views 3 3"]
    centres: Float[Tensor, "passes views 3"]
    intrinsics: Float[Tensor, "passes views 3 3"]
    placed: Bool[Tensor, "passes views"]


class _Cameras(NamedTuple):
    """Fused cameras; those of views that no pass placed mean nothing."""

    rotations: Float[Tensor, "views 3 3"]
    centres: Float[Tensor, "views 3"]
    intrinsics: Float[Tensor, "views 3 3"]
    turned_deg: Float[Tensor, "passes views"]
    """Of each pass from the mean; nan where it has no pose."""
    moved: Float[Tensor, "passes views"]
    agreeing: Bool[Tensor, "passes views"]


def fuse(
    passes: Sequence[Pass], *, calibration: Calibration = BUNDLED, seed: int = 0
) -> Reconstruction:
    """Return the scene that most passes agree on, in the world of the first.

    Each pass is brought there by one similarity; passes that do not fit are left out. Cameras are
    robust means, of the passes that agree on them. Depth is a robust mean by pixel of these,
    weighted by confidence.

    Args:
        passes: Over the same views, in the same order.
        calibration: What differences between passes are multiplied by to give probable errors.
        seed: Of all sampling.
    """
    points = torch.stack([each.points for each in passes])
    weights = torch.stack([each.weights for each in passes])
    common_from_pass, aligned = align_passes(points, weights, seed=seed)
    # With no two passes alike, the first stands alone.
    used = aligned.nonzero()[:, 0].tolist() or [0]
    scenes = [
        passes[k].scene.transformed(_at(common_from_pass, k)) if aligned[k] else passes[k].scene
        for k in used
    ]
    poses = _poses(scenes)
    cameras = _mean_cameras(poses)
    return _scene(scenes, poses, cameras, calibration, len(passes))


def _at(similarity: Similarity, index: int) -> Similarity:
    return Similarity(
        similarity.scale[index], similarity.rotation[index], similarity.translation[index]
    )


def _poses(scenes: Sequence[Reconstruction]) -> _Poses:
    matrices = torch.zeros(len(scenes), len(scenes[0].views), 4, 4)
    intrinsics = torch.zeros(len(scenes), len(scenes[0].views), 3, 3)
    for k, scene in enumerate(scenes):
        for i, camera in enumerate(scene.cameras):
            if camera is not None:
                matrices[k, i] = camera.world_from_camera
                intrinsics[k, i] = camera.intrinsics
    return _Poses(matrices[..., :3, :3], matrices[..., :3, 3], intrinsics, matrices[..., 3, 3] > 0)


def _mean_cameras(poses: _Poses) -> _Cameras:
    """Return the robust means of cameras over the passes."""
    placed = poses.placed.float()
    turn = rotation_median(poses.rotations, placed)
    place = point_median(poses.centres, placed)
    known = place.value[place.value.isfinite().all(dim=-1)]
    spread = torch.linalg.vector_norm(known - known.median(dim=0).values, dim=-1).median()
    near = agreeing(turn.distance, _AGREE_DEG)
    close = agreeing(place.distance, _AGREE_CENTRE * spread.item())
    both = near & close
    kept = both.where(both.any(dim=0), near)
    share = kept.float()
    centres = (share[..., None] * poses.centres).sum(dim=0) / share.sum(dim=0)[:, None]
    intrinsics = poses.intrinsics.where(kept[..., None, None], torch.nan).nanquantile(0.5, dim=0)
    return _Cameras(
        rotation_mean(poses.rotations, share),
        centres,
        intrinsics,
        turn.distance,
        place.distance,
        kept,
    )


def _scene(
    scenes: Sequence[Reconstruction],
    poses: _Poses,
    found: _Cameras,
    calibration: Calibration,
    passes: int,
) -> Reconstruction:
    first = scenes[0]
    cameras: list[Camera | None] = []
    failures: list[str | None] = []
    depths, confidences, depth_errors = [], [], []
    for i, view in enumerate(first.views):
        there = poses.placed[:, i].any()
        kept = [scene for scene, agrees in zip(scenes, found.agreeing[:, i], strict=True) if agrees]
        depth = _mean_depth(kept or scenes, i)
        spread = _depth_spread([s for s in scenes if s.cameras[i] is not None], depth, i)
        confidence = torch.stack([scene.confidence[i] for scene in kept or scenes]).mean(dim=0)
        cameras.append(
            Camera(
                found.intrinsics[i],
                _rigid(found.rotations[i], found.centres[i]),
                view.original_height,
                view.original_width,
            )
            if there
            else None
        )
        failures.append(None if there else _reason(scenes, i))
        depths.append(depth)
        confidences.append(confidence)
        depth_errors.append(_PROBABLE * calibration.depth * spread * depth)
    uncertainty = Uncertainty(
        passes,
        len(scenes),
        calibration,
        [
            _camera_uncertainty(poses, found, i, calibration) if camera else None
            for i, camera in enumerate(cameras)
        ],
        depth_errors,
    )
    scene = replace(
        first,
        cameras=cameras,
        depth=depths,
        confidence=confidences,
        failures=failures,
        world_pointmaps=None,
        uncertainty=uncertainty,
    )
    return with_tied_faces(scene)


def _rigid(rotation: Tensor, centre: Tensor) -> Float[Tensor, "4 4"]:
    pose = torch.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, centre
    return pose


def _mean_depth(scenes: Sequence[Reconstruction], index: int) -> Float[Tensor, "height width"]:
    """Return the depth that most scenes agree on; 0 where there is none.

    In logarithms: the mean, weighted by confidence, of those that are not far from the median.
    """
    logs, there = _log_depth(scenes, index)
    away = (logs - logs.nanquantile(0.5, dim=0)).abs()
    # Of few passes one is the median itself, so how far they scatter is told by the whole map.
    usual = _ALLOWED_USUAL * away.nanmedian().nan_to_num().item()
    agrees = there & agreeing(away.flatten(1), usual).view(away.shape)
    confidence = torch.stack([scene.confidence[index] for scene in scenes])
    weights = confidence.where(agrees & confidence.isfinite(), 0)
    total = weights.sum(dim=0)
    mean = (weights * logs.nan_to_num()).sum(dim=0) / total
    return mean.exp().where(total > 0, 0)


def _depth_spread(
    scenes: Sequence[Reconstruction], depth: Float[Tensor, "height width"], index: int
) -> Float[Tensor, "height width"]:
    """Return the relative standard deviation of depth among scenes; nan with fewer than two.

    Of depth given the camera: by how much all of a depth map is nearer or farther does not count.
    """
    if len(scenes) < 2:
        return torch.full_like(depth, torch.nan)
    logs, there = _log_depth(scenes, index)
    logs = logs - logs.flatten(1).nanmedian(dim=1).values[:, None, None]
    count = there.sum(dim=0)
    mean = logs.nan_to_num().sum(dim=0) / count
    squares = (logs - mean).square().nan_to_num().sum(dim=0)
    known = (count > 1) & (depth > 0)
    return (squares / (count - 1)).sqrt().where(known, torch.nan)


def _log_depth(
    scenes: Sequence[Reconstruction], index: int
) -> tuple[Float[Tensor, "passes height width"], Bool[Tensor, "passes height width"]]:
    """Return logarithms of depth, nan where there is none, and where there is some."""
    depth = torch.stack([scene.depth[index] for scene in scenes])
    there = (depth > 0) & depth.isfinite()
    return depth.where(there, torch.nan).log(), there


def _camera_uncertainty(
    poses: _Poses, found: _Cameras, index: int, calibration: Calibration
) -> CameraUncertainty:
    placed = int(poses.placed[:, index].sum())
    kept = int(found.agreeing[:, index].sum())
    if placed < 2:
        return CameraUncertainty(None, None, None, placed, kept)
    focals = poses.intrinsics[:, index, 0, 0][poses.placed[:, index]]
    focal_off = (focals - found.intrinsics[index, 0, 0]).abs().quantile(0.5)
    turned_deg = found.turned_deg[:, index].nanquantile(0.5)
    moved = found.moved[:, index].nanquantile(0.5)
    return CameraUncertainty(
        rotation_deg=calibration.rotation * turned_deg.item(),
        centre=calibration.centre * moved.item(),
        focal_px=calibration.focal * focal_off.item(),
        placed=placed,
        agreeing=kept,
    )


def _reason(scenes: Sequence[Reconstruction], index: int) -> str:
    return f"none of {len(scenes)} passes placed it; the first: {scenes[0].failures[index]}"
