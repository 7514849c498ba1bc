"""Errors of camera trajectories: ATE and RPE (Sturm et al., 2012)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.evaluation.alignment import align_poses
from fast3r.evaluation.metrics.poses import match_poses
from fast3r.geometry.cameras import invert_rigid
from fast3r.geometry.transforms import Similarity, rotation_angle_deg


@dataclass(frozen=True)
class TrajectoryErrors:
    """A trajectory against the truth, over the views that have a pose; nan where undefined."""

    ate: float
    """Root mean square distance of aligned camera centres, in units of truth."""

    rpe_translation: float
    """Root mean square translation error of the steps between views, in units of truth."""

    rpe_rotation_deg: float
    """Root mean square rotation error of the steps."""

    registered: int
    """Views with a pose."""


# Fewer poses are fitted exactly, whatever they are.
_MIN_POSES = 3


def trajectory_errors(
    predicted: Sequence[Float[Tensor, "4 4"] | None], truth: Float[Tensor, "views 4 4"]
) -> TrajectoryErrors:
    """Return ATE and RPE after a similarity of least squares, for steps from view to view.

    Views without a pose are left out of all but `registered`: look at both. Fewer than 3 poses
    have no ATE.

    Args:
        predicted: world_from_camera of each view in order of capture, None where there is none.
        truth: world_from_camera of each view.
    """
    registered = int(match_poses(predicted, truth).found.sum())
    fit = _aligned(predicted, truth)
    distance = absolute_errors(predicted, truth, fit)
    if registered < _MIN_POSES:
        distance = torch.full_like(distance, torch.nan)
    shift, turn_deg = relative_errors(predicted, truth, scale=fit.scale.item())
    return TrajectoryErrors(
        ate=_root_mean_square(distance),
        rpe_translation=_root_mean_square(shift),
        rpe_rotation_deg=_root_mean_square(turn_deg),
        registered=registered,
    )


def _aligned(
    predicted: Sequence[Float[Tensor, "4 4"] | None], truth: Float[Tensor, "views 4 4"]
) -> Similarity:
    """Return the similarity to the true world that leaves least squared distance.

    Where all cameras of one world coincide, the best scale is 0: they land on the mean true one.
    """
    fit = align_poses(predicted, truth)
    if fit is not None:
        return fit
    _, true_poses, found = match_poses(predicted, truth)
    identity = torch.eye(3).to(true_poses)
    return Similarity(identity.new_zeros(()), identity, true_poses[found, :3, 3].mean(dim=0))


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
) -> tuple[Float[Tensor, " steps"], Float[Tensor, " steps"]]:
    """Return translation and rotation (degrees) errors of each step from a view to the next.

    The error of a step is the motion that is left of it after the true one is undone; nan where
    one of its ends has no pose.

    Args:
        predicted: world_from_camera of each view in order of capture, None where there is none.
        truth: world_from_camera of each view.
        scale: From predicted to true units.
    """
    poses, true_poses, found = match_poses(predicted, truth)
    poses[:, :3, 3] *= scale
    made = invert_rigid(poses[:-1]) @ poses[1:]
    true = invert_rigid(true_poses[:-1]) @ true_poses[1:]
    known = found[:-1] & found[1:]
    # The motion left over has the translation R_trueᵀ (t_made - t_true), as long as this:
    shift = torch.linalg.vector_norm(made[:, :3, 3] - true[:, :3, 3], dim=-1)
    turn_deg = rotation_angle_deg(made[:, :3, :3], true[:, :3, :3])
    return shift.where(known, torch.nan), turn_deg.where(known, torch.nan)


def _root_mean_square(values: Float[Tensor, " values"]) -> float:
    return values.square().nanmean().sqrt().item()
