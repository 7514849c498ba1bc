"""Errors of cameras and depth, as pure functions.

Poses are compared pair by pair, so that no alignment of the two worlds is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.cameras import invert_rigid
from fast3r.geometry.transforms import rotation_angle_deg


def relative_pose_errors(
    predicted: Sequence[Float[Tensor, "4 4"] | None], truth: Float[Tensor, "views 4 4"]
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, " pairs"]]:
    """Return rotation and translation errors in degrees for all pairs of views i < j.

    Args:
        predicted: world_from_camera of each view, None where there is none: its pairs count as
            180 and 90 degrees off.
        truth: world_from_camera of each view.

    The translation error is the angle between the directions from one camera to the other,
    without regard to sign as usual in the field, hence at most 90. Cameras that coincide in the
    prediction have no direction and count as 90 degrees off.
    """
    found = torch.tensor([pose is not None for pose in predicted])
    poses = torch.stack([torch.eye(4) if pose is None else pose for pose in predicted]).to(truth)
    first, second = torch.triu_indices(len(truth), len(truth), offset=1)
    made = invert_rigid(poses[first]) @ poses[second]
    true = invert_rigid(truth[first]) @ truth[second]
    known = (found[first] & found[second]).to(truth.device)
    rotation_deg = rotation_angle_deg(made[:, :3, :3], true[:, :3, :3])
    translation_deg = line_angle_deg(made[:, :3, 3], true[:, :3, 3])
    return rotation_deg.where(known, 180), translation_deg.where(known, 90)


def line_angle_deg(
    a: Float[Tensor, "*batch 3"], b: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch"]:
    """Return the angle between two lines in degrees, in [0, 90]; 90 where one has no direction."""
    sine = torch.linalg.vector_norm(torch.linalg.cross(a, b), dim=-1)
    cosine = (a * b).sum(dim=-1).abs()
    angle = torch.rad2deg(torch.atan2(sine, cosine))
    return angle.where((sine > 0) | (cosine > 0), 90)


def share_below(errors: Float[Tensor, " pairs"], threshold: float) -> float:
    """Return the share of errors below a threshold (RRA@τ, RTA@τ), in [0, 1]."""
    return (errors < threshold).double().mean().item()


def area_under_curve(
    rotation_deg: Float[Tensor, " pairs"], translation_deg: Float[Tensor, " pairs"], limit: float
) -> float:
    """Return the exact area under the recall of the larger error up to a limit (AUC@limit).

    The recall curve's area is the mean of `1 - error / limit`, where positive; no bins.
    """
    worst = torch.maximum(rotation_deg, translation_deg).double()
    return (1 - worst / limit).clamp(min=0).mean().item()


def depth_error(
    predicted: Float[Tensor, "height width"],
    truth: Float[Tensor, "height width"],
    valid: Bool[Tensor, "height width"],
) -> float:
    """Return the mean absolute relative depth error after median scaling (AbsRel); nan if empty."""
    made, true = predicted[valid], truth[valid]
    if len(true) == 0:
        return float("nan")
    scale = true.median() / made.median().clamp(min=1e-8)
    return ((made * scale - true).abs() / true).mean().item()


def pointmap_error(
    predicted: Float[Tensor, "views height width 3"],
    truth: Float[Tensor, "views height width 3"],
    valid: Bool[Tensor, "views height width"],
) -> float:
    """Return the mean distance between points, each map in units of its own mean distance.

    This is the error inside the training loss: 0 is perfect, 1 is as far off as the scene is far.
    """
    made, true = predicted[valid], truth[valid]
    made = made / made.norm(dim=-1).mean().clamp(min=1e-8)
    true = true / true.norm(dim=-1).mean().clamp(min=1e-8)
    return (made - true).norm(dim=-1).mean().item()


@dataclass(frozen=True)
class PoseScore:
    """Poses of one or many scenes, over all pairs of views of each."""

    rra15: float
    """Share of pairs with a rotation error below 15 degrees."""

    rta15: float
    """Share of pairs with a translation direction error below 15 degrees."""

    auc30: float
    """Exact area under the recall of the larger error up to 30 degrees."""

    rotation_deg: float
    """Median rotation error."""


def pose_score(
    rotation_deg: Float[Tensor, " pairs"], translation_deg: Float[Tensor, " pairs"]
) -> PoseScore:
    """Return the usual summary of pose errors."""
    return PoseScore(
        rra15=share_below(rotation_deg, 15),
        rta15=share_below(translation_deg, 15),
        auc30=area_under_curve(rotation_deg, translation_deg, 30),
        rotation_deg=rotation_deg.median().item(),
    )


def trivial_poses(views: int) -> Float[Tensor, "views 4 4"]:
    """Return the answer that knows nothing: no rotation, a step along x from view to view."""
    poses = torch.eye(4).repeat(views, 1, 1)
    poses[:, 0, 3] = torch.arange(views, dtype=torch.float32)
    return poses
