"""Answers and truth in the form that metrics take."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import Answer, DenseView
from fast3r.evaluation.resampling import on_photo


def predicted_poses(answer: Answer) -> list[Float[Tensor, "4 4"] | None]:
    """Return world_from_camera of each view; None where there is none."""
    return [None if p is None else torch.from_numpy(p).double() for p in answer.world_from_camera]


def true_poses(frames: Sequence[Frame]) -> Float[Tensor, "views 4 4"]:
    """Return world_from_camera of each view."""
    return torch.from_numpy(np.stack([frame.world_from_camera for frame in frames])).double()


def pixels_answered(dense: DenseView, height: int, width: int) -> Bool[np.ndarray, "height width"]:
    """Return which pixels of a photo lie in a method's grid, whatever it says of them.

    Methods that cut photos answer for part of each.
    """
    everywhere = replace(dense, depth=np.ones_like(dense.depth))
    return on_photo(everywhere, height, width).depth > 0
