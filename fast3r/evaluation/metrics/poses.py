"""Errors of camera poses, pair by pair, so that no alignment of the two worlds is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.cameras import invert_rigid
from fast3r.geometry.transforms import in_double, rotation_angle_deg


class MatchedPoses(NamedTuple):
    """Poses beside the true ones, in float64."""

    made: Float[Tensor, "views 4 4"]
    """The identity where there is none."""

    true: Float[Tensor, "views 4 4"]
    """True poses."""

    found: Bool[Tensor, " views"]
    """Where there is one."""


def match_poses(
    predicted: Sequence[Float[Tensor, "4 4"] | None], truth: Float[Tensor, "views 4 4"]
) -> MatchedPoses:
    """Return poses beside the true ones; one that is not finite counts as none.

    Raises:
        ValueError: They are not equally many.
    """
    if len(predicted) != len(truth):
        raise ValueError(
            f"expected a pose or None for each of {len(truth)} views, got {len(predicted)}"
        )
    true = in_double(truth)
    identity = torch.eye(4).to(true)
    made = true.clone()
    found = torch.zeros(len(true), dtype=torch.bool, device=true.device)
    for view, pose in enumerate(predicted):
        found[view] = pose is not None and bool(pose.isfinite().all())
        made[view] = pose.to(true) if pose is not None and found[view] else identity
    return MatchedPoses(made, true, found)


def relative_pose_errors(
    predicted: Sequence[Float[Tensor, "4 4"] | None], truth: Float[Tensor, "views 4 4"]
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, " pairs"]]:
    """Return rotation and translation errors in degrees for all pairs of views i < j.

    The translation error is the angle between the directions from one camera to the other,
    without regard to sign as usual in the field, hence at most 90. Cameras that coincide, in the
    prediction or in truth, have no direction and count as 90 degrees off.

    Args:
        predicted: world_from_camera of each view, None where there is none: its pairs count as
            180 and 90 degrees off.
        truth: world_from_camera of each view.
    """
    poses, true_poses, found = match_poses(predicted, truth)
    first, second = torch.triu_indices(len(poses), len(poses), offset=1, device=poses.device)
    made = invert_rigid(poses[first]) @ poses[second]
    true = invert_rigid(true_poses[first]) @ true_poses[second]
    known = found[first] & found[second]
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
    """Return the share of errors below a threshold (RRA@τ, RTA@τ), in [0, 1]; nan if empty."""
    return (errors < threshold).double().mean().item()


def area_under_curve(
    rotation_deg: Float[Tensor, " pairs"], translation_deg: Float[Tensor, " pairs"], limit: float
) -> float:
    """Return the exact area under the recall of the larger error up to a limit (AUC@limit).

    The recall curve's area is the mean of `1 - error / limit`, where positive; no bins. Nan if
    empty.
    """
    worst = torch.maximum(rotation_deg, translation_deg).double()
    return (1 - worst / limit).clamp(min=0).mean().item()


def binned_area_under_curve(
    rotation_deg: Float[Tensor, " pairs"],
    translation_deg: Float[Tensor, " pairs"],
    limit: int,
    *,
    variant: Literal["fast3r", "vggt"],
) -> float:
    """Return the area under the recall as papers count it (mAA, AUC@limit), from a histogram.

    Both come from PoseDiffusion: `fast3r` has `limit` + 1 bins (31 for the mAA(30) of its paper),
    `vggt` has bins of 1 degree. An error counts fully in its own bin, hence about half a bin more
    than `area_under_curve` gives. Nan if empty.
    """
    worst = torch.maximum(rotation_deg, translation_deg).double().cpu()
    if len(worst) == 0:
        return float("nan")
    bins = limit + 1 if variant == "fast3r" else limit
    counts = torch.histc(worst, bins=bins, min=0, max=limit)
    return (counts.cumsum(dim=0) / len(worst)).mean().item()


@dataclass(frozen=True)
class PoseScore:
    """Poses of one or many scenes, over all pairs of views of each; shares in [0, 1]."""

    rra5: float
    """Share of pairs with a rotation error below 5 degrees."""

    rra15: float
    """Share below 15 degrees."""

    rra30: float
    """Share below 30 degrees."""

    rta5: float
    """Share of pairs with a translation direction error below 5 degrees."""

    rta15: float
    """Share below 15 degrees."""

    rta30: float
    """Share below 30 degrees."""

    auc3: float
    """Exact area under the recall of the larger error up to 3 degrees."""

    auc5: float
    """Up to 5 degrees."""

    auc10: float
    """Up to 10 degrees."""

    auc20: float
    """Up to 20 degrees."""

    auc30: float
    """Up to 30 degrees."""

    rotation_deg: float
    """Median rotation error."""


def pose_score(
    rotation_deg: Float[Tensor, " pairs"], translation_deg: Float[Tensor, " pairs"]
) -> PoseScore:
    """Return the usual summary of pose errors; all nan if there are no pairs."""
    figures = [share_below(rotation_deg, threshold) for threshold in (5, 15, 30)]
    figures += [share_below(translation_deg, threshold) for threshold in (5, 15, 30)]
    for limit in (3, 5, 10, 20, 30):
        figures.append(area_under_curve(rotation_deg, translation_deg, limit))
    figures.append(rotation_deg.nanmedian().item())
    return PoseScore(*figures)
