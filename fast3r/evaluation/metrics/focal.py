"""Errors of focal lengths and fields of view."""

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
    return (_focal_px(_stack(predicted, truth)) / _focal_px(truth) - 1).abs()


def field_of_view_errors_deg(
    predicted: Sequence[Float[Tensor, "3 3"] | None],
    truth: Float[Tensor, "views 3 3"],
    widths: Sequence[int],
) -> Float[Tensor, " views"]:
    """Return the error of the horizontal field of view in degrees; nan without a prediction.

    Args:
        predicted: Intrinsics in pixels of each photo.
        truth: The same of the true cameras.
        widths: Of the photos, in pixels.
    """
    width = torch.tensor(widths).to(truth)
    made, true = (_field_of_view_deg(k, width) for k in (_stack(predicted, truth), truth))
    return (made - true).abs()


def _focal_px(intrinsics: Float[Tensor, "views 3 3"]) -> Float[Tensor, " views"]:
    return (intrinsics[:, 0, 0] * intrinsics[:, 1, 1]).sqrt()


def _field_of_view_deg(
    intrinsics: Float[Tensor, "views 3 3"], width: Float[Tensor, " views"]
) -> Float[Tensor, " views"]:
    left = torch.atan2(intrinsics[:, 0, 2], intrinsics[:, 0, 0])
    right = torch.atan2(width - intrinsics[:, 0, 2], intrinsics[:, 0, 0])
    return torch.rad2deg(left + right)


def _stack(
    predicted: Sequence[Float[Tensor, "3 3"] | None], truth: Float[Tensor, "views 3 3"]
) -> Float[Tensor, "views 3 3"]:
    nothing = torch.full((3, 3), torch.nan).to(truth)
    return torch.stack([nothing if k is None else k.to(truth) for k in predicted])
