"""Figures that several benchmarks have in common, and what they are made of."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import Answer
from fast3r.evaluation.metrics.focal import focal_errors
from fast3r.evaluation.metrics.poses import pose_score, relative_pose_errors

CAMERA_COLUMNS = (
    "AUC@30 %",
    "AUC@5 %",
    "RRA@15 %",
    "RTA@15 %",
    "rotation deg",
    "focal error %",
    "registered %",
)
"""Of `camera_figures`, in order."""

CAMERA_PROTOCOL = (
    "Poses are compared over all pairs of photos: RRA@15 and RTA@15 are the shares of pairs whose "
    "relative rotation, and direction of translation without regard to its sign, are less than 15 "
    "degrees off; AUC@30 and AUC@5 are the exact areas (no bins) under the recall of the larger of "
    "the two errors up to 30 and 5 degrees; rotation is the median error of a case. A pair with a "
    "photo without pose counts as 180 and 90 degrees off. The focal error is the mean over the "
    "photos that have a camera. Methods see the pixels only, no EXIF. Figures of the table are "
    "means over cases."
)
"""What the figures mean."""


def predicted_poses(answer: Answer) -> list[Float[Tensor, "4 4"] | None]:
    """Return world_from_camera of each view; None where there is none."""
    return [None if p is None else torch.from_numpy(p).double() for p in answer.world_from_camera]


def true_poses(frames: Sequence[Frame]) -> Float[Tensor, "views 4 4"]:
    """Return world_from_camera of each view."""
    return torch.from_numpy(np.stack([frame.world_from_camera for frame in frames])).double()


def camera_figures(frames: Sequence[Frame], answer: Answer) -> Mapping[str, float]:
    """Return the errors of poses and focal lengths, keyed by `CAMERA_COLUMNS`."""
    intrinsics = torch.from_numpy(np.stack([frame.intrinsics for frame in frames])).double()
    poses = predicted_poses(answer)
    found = [None if k is None else torch.from_numpy(k).double() for k in answer.intrinsics]
    score = pose_score(*relative_pose_errors(poses, true_poses(frames)))
    registered = sum(pose is not None for pose in poses) / len(poses)
    shares = (score.auc30, score.auc5, score.rra15, score.rta15)
    focal_error = focal_errors(found, intrinsics).nanmean().item()
    values = [100 * share for share in shares]
    values += [score.rotation_deg, 100 * focal_error, 100 * registered]
    return dict(zip(CAMERA_COLUMNS, values, strict=True))


def camera_failure() -> Mapping[str, float]:
    """Return the figures of a case without any camera."""
    return dict(zip(CAMERA_COLUMNS, (0.0, 0.0, 0.0, 0.0, 180.0, float("nan"), 0.0), strict=True))
