"""A coloured point cloud that remembers where each point was seen, and ways to thin it."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor


@dataclass(frozen=True)
class PointCloud:
    """Points of the world, each seen at one pixel of one photo."""

    points: Float[Tensor, "points 3"]
    """Positions in world units."""

    colors: UInt8[Tensor, "points 3"]
    """RGB (sRGB, as in the photo)."""

    confidence: Float[Tensor, " points"]
    """At least 1; larger is surer."""

    view_index: Int64[Tensor, " points"]
    """The view that each point was seen in, as an index into the scene's views."""

    pixel: Float[Tensor, "points 2"]
    """Where it was seen: x, y in pixels of the original photo, pixel centres at +0.5."""

    def __len__(self) -> int:
        return len(self.points)

    def take(self, index: Int64[Tensor, " chosen"]) -> "PointCloud":
        """Return the points at `index`, in that order."""
        return PointCloud(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def concatenate(clouds: list[PointCloud]) -> PointCloud:
    """Return all points of one or more clouds, in order."""
    columns = {f.name: torch.cat([getattr(c, f.name) for c in clouds]) for f in fields(PointCloud)}
    return PointCloud(**columns)


def surest_per_voxel(cloud: PointCloud, voxel: float) -> PointCloud:
    """Return the most confident point of each occupied cube of side `voxel`, in input order.

    Raises:
        ValueError: `voxel` is not positive, or so small that the cubes cannot be numbered.
    """
    if not voxel > 0:
        raise ValueError(f"voxel must be a positive length in world units, got {voxel}")
    if len(cloud) == 0:
        return cloud
    low, high = cloud.points.aminmax(dim=0)
    cubes_per_axis = ((high.double() - low.double()) / voxel).floor() + 1
    if cubes_per_axis.prod() >= 2**62:
        raise ValueError(
            f"voxel {voxel} is too small for a scene that extends over "
            f"{(high - low).max().item():.3g} world units; use a larger one"
        )
    cell = ((cloud.points.double() - low.double()) / voxel).floor().long()
    cubes = cubes_per_axis.long()
    key = (cell[:, 0] * cubes[1] + cell[:, 1]) * cubes[2] + cell[:, 2]
    # Two stable sorts: surest first, then by cube, so each cube begins with its surest point.
    order = cloud.confidence.argsort(descending=True, stable=True)
    order = order[key[order].argsort(stable=True)]
    begins = torch.ones(len(cloud), dtype=torch.bool)
    begins[1:] = key[order].diff() != 0
    return cloud.take(order[begins].sort().values)


def random_points(cloud: PointCloud, count: int, *, seed: int = 0) -> PointCloud:
    """Return `count` points drawn without replacement, in input order; all where there are fewer.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"max_points must be at least 1, got {count}")
    if len(cloud) <= count:
        return cloud
    generator = torch.Generator().manual_seed(seed)
    return cloud.take(torch.randperm(len(cloud), generator=generator)[:count].sort().values)


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
    if not 0 <= percentile <= 100:
        raise ValueError(f"min_conf_percentile must lie in [0, 100], got {percentile}")
    values = confidence[valid]
    if len(values) == 0:
        return valid
    rank = min(int(len(values) * percentile / 100), len(values) - 1)
    return valid & (confidence >= values.kthvalue(rank + 1).values)
