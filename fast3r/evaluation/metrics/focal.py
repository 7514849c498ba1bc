"""Errors of focal lengths."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def focal_errors(
    predicted: Sequence[Float[Tensor, "3 3"] | None], truth: Float[Tensor, "views 3 3"]
) -> Float[Tensor, " views"]:
    """Return |focal / true focal - 1| of each view; nan where there is no prediction.

    The focal length is the geometric mean of the two axes'. Both are in pixels of the same photo.
    """
    nothing = torch.full((3, 3), torch.nan).to(truth)
    made = torch.stack([nothing if k is None else k.to(truth) for k in predicted])
    return (_focal_px(made) / _focal_px(truth) - 1).abs()


def _focal_px(intrinsics: Float[Tensor, "views 3 3"]) -> Float[Tensor, " views"]:
    return (intrinsics[:, 0, 0] * intrinsics[:, 1, 1]).sqrt()
