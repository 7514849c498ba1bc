"""Which pixels of a view are trusted to become points."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

if TYPE_CHECKING:
    from fast3r.scene.reconstruction import Reconstruction


@dataclass(frozen=True)
class Trust:
    """What a pixel needs to become a point; `Reconstruction.point_cloud` tells the options."""

    min_confidence: float | None
    min_conf_percentile: float
    max_slant_deg: float
    margin: int

    def __post_init__(self) -> None:
        _check_percentile(self.min_conf_percentile)
        if not 0 < self.max_slant_deg <= 90:
            raise ValueError(f"max_slant_deg must lie in (0, 90], got {self.max_slant_deg}")
        if self.margin < 0:
            raise ValueError(f"margin must not be negative, got {self.margin}")

    def pixels(self, scene: "Reconstruction", index: int) -> Bool[Tensor, "height width"]:
        """Return which pixels of a registered view become points."""
        valid, confidence = scene.valid(index), scene.confidence[index]
        inner = valid & ~border(*valid.shape, width=self.margin)
        kept = surest_pixels(confidence, inner, self.min_conf_percentile)
        if self.max_slant_deg < 90:
            kept &= scene.slant_deg(index) <= self.max_slant_deg
        if self.min_confidence is not None:
            kept &= confidence >= self.min_confidence
        return kept


def border(rows: int, columns: int, *, width: int) -> Bool[Tensor, "{rows} {columns}"]:
    """Return which pixels of an image lie within `width` pixels of its border."""
    rim = torch.ones(rows, columns, dtype=torch.bool)
    rim[width : max(width, rows - width), width : max(width, columns - width)] = False
    return rim


def surest_pixels(
    confidence: Float[Tensor, "height width"],
    valid: Bool[Tensor, "height width"],
    percentile: float,
) -> Bool[Tensor, "height width"]:
    """Return the `valid` pixels at or above that percentile of the confidence of `valid` pixels.

    Equal confidences stay together, and the surest valid pixel always stays.

    Raises:
        ValueError: `percentile` is outside [0, 100].
    """
    _check_percentile(percentile)
    values = confidence[valid]
    if len(values) == 0:
        return valid
    rank = min(int(len(values) * percentile / 100), len(values) - 1)
    return valid & (confidence >= values.kthvalue(rank + 1).values)


def _check_percentile(percentile: float) -> None:
    if not 0 <= percentile <= 100:
        raise ValueError(f"min_conf_percentile must lie in [0, 100], got {percentile}")


def depth_slope(
    depth: Float[Tensor, "height width"], focal_px: float
) -> Float[Tensor, "height width"]:
    """Return how steeply depth changes at each pixel, as the tangent of the surface's slant.

    A surface that faces the camera has slope 0; one turned away by an angle a has about tan(a)
    near the image centre. At the outline of an object neighbouring pixels see different
    surfaces, which looks like a slope of 10 and more. The steeper side counts; neighbours
    without depth (zero, negative, not finite) do not.

    Args:
        depth: Along the camera's z axis, any unit.
        focal_px: Focal length in pixels of this depth map.
    """
    steepest = torch.zeros_like(depth)
    for axis in (0, 1):
        before = depth.narrow(axis, 0, depth.shape[axis] - 1)
        after = depth.narrow(axis, 1, depth.shape[axis] - 1)
        nearer = torch.minimum(before, after)
        slope = (after - before).abs() / nearer * focal_px
        slope = slope.where((nearer > 0) & slope.isfinite(), 0)
        for first in (0, 1):
            side = steepest.narrow(axis, first, depth.shape[axis] - 1)
            torch.maximum(side, slope, out=side)
    return steepest
