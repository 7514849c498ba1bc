"""Draws points as small round discs that hide each other, on any CPU, without a display."""

import math

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fast3r.geometry.cameras import Camera, invert_rigid, project


def splat(
    points: Float[Tensor, "points 3"],
    colors: UInt8[Tensor, "points 3"],
    camera: Camera,
    *,
    diameters: Float[Tensor, " points"],
    max_radius_px: int = 6,
) -> tuple[UInt8[Tensor, "height width 3"], Float[Tensor, "height width"]]:
    """Return the picture that a camera takes of points, and the depth of each of its pixels.

    Pixels that no disc covers have infinite depth and no colour (0).

    Args:
        points: In the world.
        colors: RGB.
        camera: Its size is the size of the picture.
        diameters: Of the discs, in world units; on the picture none is wider than
            2 `max_radius_px` + 1 pixels, and none vanishes.
        max_radius_px: Bounds the time that near points take.
    """
    camera_from_world = invert_rigid(camera.world_from_camera.float())
    xy, depth = project(points, camera.intrinsics.float(), camera_from_world)
    radius_px = camera.intrinsics[0, 0] * diameters / (2 * depth)
    margin = max_radius_px
    inside = (depth > 0) & (xy > -margin).all(dim=-1)
    inside &= (xy < xy.new_tensor([camera.width + margin, camera.height + margin])).all(dim=-1)
    column, row = xy[inside].floor().long().unbind(-1)
    nearest = _nearest_disc(column, row, depth[inside], radius_px[inside], camera, max_radius_px)
    return _shown(nearest, depth[inside], colors[inside], camera)


_EMPTY = torch.iinfo(torch.int64).max


def _nearest_disc(
    column: Tensor, row: Tensor, depth: Tensor, radius_px: Tensor, camera: Camera, max_radius: int
) -> Tensor:
    """Return for each pixel, row by row, the key of the nearest disc that covers it.

    A key holds the depth in its upper half and the index of the point in its lower half. The
    bits of positive floats are in the order of the floats, so the least key is the nearest.
    """
    keys = (depth.view(torch.int32).long() << 32) | torch.arange(len(depth))
    nearest = torch.full((camera.height * camera.width,), _EMPTY)
    for x, y in _disc(max_radius):
        # Half a pixel more than the offset, so that a disc of one pixel covers only its own.
        wide = radius_px >= max(math.hypot(x, y) - 0.5, 0)
        at_x, at_y = column[wide] + x, row[wide] + y
        drawn = (at_x >= 0) & (at_x < camera.width) & (at_y >= 0) & (at_y < camera.height)
        pixel = (at_y * camera.width + at_x)[drawn]
        nearest.scatter_reduce_(0, pixel, keys[wide][drawn], "amin")
    return nearest


def _disc(radius: int) -> list[tuple[int, int]]:
    span = range(-radius, radius + 1)
    return [(x, y) for x in span for y in span if math.hypot(x, y) <= radius + 0.5]


def _shown(
    nearest: Tensor, depth: Tensor, colors: Tensor, camera: Camera
) -> tuple[UInt8[Tensor, "height width 3"], Float[Tensor, "height width"]]:
    covered = nearest != _EMPTY
    index = nearest[covered] & 0xFFFFFFFF
    picture = torch.zeros(len(nearest), 3, dtype=torch.uint8)
    picture[covered] = colors[index]
    distance = torch.full((len(nearest),), torch.inf)
    distance[covered] = depth[index]
    size = (camera.height, camera.width)
    return picture.unflatten(0, size), distance.unflatten(0, size)
