"""Errors of camera trajectories: ATE and RPE (Sturm et al., 2012)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.evaluation.alignment import align_poses, align_poses_robustly
from fast3r.evaluation.metrics.poses import match_poses
from fast3r.geometry.cameras import invert_rigid
from fast3r.geometry.transforms import Similarity, rotation_angle_deg

TrajectoryAlignment = Literal["similarity", "robust", "rigid", "scale", "none"]
"""What is forgiven: Sim(3) of least squares over all camera centres, or over those that most agree
on (RANSAC); SE(3) over all; the scale alone, once the first cameras coincide; or nothing."""


@dataclass(frozen=True)
class TrajectoryErrors:
    """A trajectory against the truth, over the views that have a pose; nan where undefined."""

    ate: float
    """Root mean square distance of aligned camera centres, in units of truth."""

    ate_mean: float
    """Mean distance."""

    ate_median: float
    """Median distance."""

    ate_max: float
    """Largest distance."""

    rpe_translation: float
    """Root mean square translation error of the steps between views, in units of truth."""

    rpe_rotation_deg: float
    """Root mean square rotation error of the steps."""

    registered: int
    """Views with a pose."""

    views: int
    """Views."""


# Fewer poses are fitted exactly, whatever they are.
_MIN_POSES = {"similarity": 3, "robust": 4, "rigid": 2, "scale": 2, "none": 1}


def trajectory_errors(
    predicted: Sequence[Float[Tensor, "4 4"] | None],
    truth: Float[Tensor, "views 4 4"],
    *,
    alignment: TrajectoryAlignment = "similarity",
    step: int = 1,
) -> TrajectoryErrors:
    """Return ATE and RPE; what most papers report is both after Sim(3), for steps of 1 view.

    Views without a pose are left out of all but `registered`: look at both. Fewer poses than an
    alignment always fits (3 for `similarity`, 2 for `rigid` and `scale`) have no ATE, nor have
    poses that agree on no alignment (`robust`).

    Args:
        predicted: world_from_camera of each view in order of capture, None where there is none.
        truth: world_from_camera of each view.
        alignment: What is forgiven. Of RPE only the scale matters.
        step: Views from one end of an RPE step to the other.
    """
    registered = int(match_poses(predicted, truth).found.sum())
    fit = align_trajectory(predicted, truth, alignment)
    distance = absolute_errors(predicted, truth, fit)
    if registered < _MIN_POSES[alignment]:
        distance = torch.full_like(distance, torch.nan)
    shift, turn_deg = relative_errors(predicted, truth, scale=fit.scale.item(), step=step)
    kept = distance[~distance.isnan()]
    return TrajectoryErrors(
        ate=_root_mean_square(kept),
        ate_mean=kept.mean().item(),
        ate_median=kept.quantile(0.5).item() if len(kept) else float("nan"),
        ate_max=kept.max().item() if len(kept) else float("nan"),
        rpe_translation=_root_mean_square(shift),
        rpe_rotation_deg=_root_mean_square(turn_deg),
        registered=registered,
        views=len(truth),
    )


def align_trajectory(
    predicted: Sequence[Float[Tensor, "4 4"] | None],
    truth: Float[Tensor, "views 4 4"],
    alignment: TrajectoryAlignment,
) -> Similarity:
    """Return the map to the true world that leaves least squared distance.

    Where all cameras of one world coincide, the best scale is 0: they land on the mean true one.
    Nan without poses, or if a robust one is asked for and too few poses agree.
    """
    poses, true_poses, found = match_poses(predicted, truth)
    made, true = poses[found], true_poses[found]
    identity = torch.eye(3).to(true)
    if alignment == "none":
        return Similarity(true.new_ones(()), identity, true.new_zeros(3))
    if alignment == "scale" and len(made):
        return _scale_from_first(made, true)
    if alignment == "robust":
        agreed = align_poses_robustly(predicted, truth)
        nan = true.new_full((), torch.nan)
        return Similarity(nan, nan * identity, nan.expand(3)) if agreed is None else agreed[0]
    fit = align_poses(predicted, truth, with_scale=alignment == "similarity")
    return fit or Similarity(true.new_zeros(()), identity, true[:, :3, 3].mean(dim=0))


def _scale_from_first(
    made: Float[Tensor, "views 4 4"], true: Float[Tensor, "views 4 4"]
) -> Similarity:
    rotation = true[0, :3, :3] @ made[0, :3, :3].mT
    first, true_first = made[0, :3, 3], true[0, :3, 3]
    turned, apart = (made[:, :3, 3] - first) @ rotation.mT, true[:, :3, 3] - true_first
    scale = (turned * apart).sum() / turned.square().sum()
    scale = scale.clamp(min=0).nan_to_num(0)
    return Similarity(scale, rotation, true_first - scale * (rotation @ first))


def absolute_errors(
    predicted: Sequence[Float[Tensor, "4 4"] | None],
    truth: Float[Tensor, "views 4 4"],
    truth_from_predicted: Similarity,
) -> Float[Tensor, " views"]:
    """Return the distance of each aligned camera centre from the true one; nan without a pose."""
    poses, true_poses, found = match_poses(predicted, truth)
    moved = truth_from_predicted(poses[:, :3, 3])
    distance = torch.linalg.vector_norm(moved - true_poses[:, :3, 3], dim=-1)
    return distance.where(found, torch.nan)


def relative_errors(
    predicted: Sequence[Float[Tensor, "4 4"] | None],
    truth: Float[Tensor, "views 4 4"],
    *,
    scale: float,
    step: int = 1,
) -> tuple[Float[Tensor, " steps"], Float[Tensor, " steps"]]:
    """Return translation and rotation (degrees) errors of each step from a view to a later one.

    The error of a step is the motion that is left of it after the true one is undone; nan where
    one of its ends has no pose.

    Args:
        predicted: world_from_camera of each view in order of capture, None where there is none.
        truth: world_from_camera of each view.
        scale: From predicted to true units.
        step: Views from one end to the other.

    Raises:
        ValueError: `step` is less than 1.
    """
    if step < 1:
        raise ValueError(f"a step goes at least 1 view ahead, got {step}")
    poses, true_poses, found = match_poses(predicted, truth)
    poses[:, :3, 3] *= scale
    made = invert_rigid(poses[:-step]) @ poses[step:]
    true = invert_rigid(true_poses[:-step]) @ true_poses[step:]
    known = found[:-step] & found[step:]
    # The motion left over has the translation R_trueᵀ (t_made - t_true), as long as this:
    shift = torch.linalg.vector_norm(made[:, :3, 3] - true[:, :3, 3], dim=-1)
    turn_deg = rotation_angle_deg(made[:, :3, :3], true[:, :3, :3])
    return shift.where(known, torch.nan), turn_deg.where(known, torch.nan)


def _root_mean_square(values: Float[Tensor, " values"]) -> float:
    return values.square().nanmean().sqrt().item()
