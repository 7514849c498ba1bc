"""Passes over the same views become one scene, with what they disagree by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.scene.ensemble.alignment import align_passes
from fast3r.scene.ensemble.means import agreeing, point_median, rotation_mean, rotation_median
from fast3r.scene.ensemble.record import BUNDLED, Calibration, CameraUncertainty, Uncertainty
from fast3r.scene.panoramas import with_tied_faces
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.view import View

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
        passes[k].scene.transformed(common_from_pass[k]) if aligned[k] else passes[k].scene
        for k in used
    ]
    return with_tied_faces(_fused(scenes, calibration, len(passes)))


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


def _fused(
    scenes: Sequence[Reconstruction], calibration: Calibration, passes: int
) -> Reconstruction:
    """Return the mean of scenes that lie in one world."""
    first, views = scenes[0], range(len(scenes[0].views))
    poses = _poses(scenes)
    found = _mean_cameras(poses)
    there = poses.placed.any(dim=0).tolist()
    chosen = [_agreeing_scenes(scenes, found, i) for i in views]
    depth = [_mean_depth(chosen[i], i) for i in views]
    uncertainty = Uncertainty(
        passes,
        len(scenes),
        calibration,
        [_camera_uncertainty(poses, found, i, calibration) if there[i] else None for i in views],
        [
            _PROBABLE * calibration.depth * _depth_spread(scenes, depth[i], i) * depth[i]
            for i in views
        ],
    )
    return replace(
        first,
        cameras=[_camera(found, i, first.views[i]) if there[i] else None for i in views],
        depth=depth,
        confidence=[torch.stack([s.confidence[i] for s in chosen[i]]).mean(dim=0) for i in views],
        failures=[None if there[i] else _reason(scenes, i) for i in views],
        world_pointmaps=None,
        uncertainty=uncertainty,
    )


def _agreeing_scenes(
    scenes: Sequence[Reconstruction], found: _Cameras, index: int
) -> Sequence[Reconstruction]:
    """Return the scenes whose camera of a view is near the mean; all where none has one."""
    near = found.agreeing[:, index].tolist()
    return [scene for scene, agrees in zip(scenes, near, strict=True) if agrees] or scenes


def _camera(found: _Cameras, index: int, view: View) -> Camera:
    pose = torch.eye(4)
    pose[:3, :3], pose[:3, 3] = found.rotations[index], found.centres[index]
    return Camera(found.intrinsics[index], pose, view.original_height, view.original_width)


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
    """Return the relative standard deviation of depth among the scenes that place a view.

    It is nan where fewer than two know it. Of depth given the camera: by how much all of a depth
    map is nearer or farther does not count.
    """
    placed = [scene for scene in scenes if scene.cameras[index] is not None]
    if len(placed) < 2:
        return torch.full_like(depth, torch.nan)
    logs, there = _log_depth(placed, index)
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
