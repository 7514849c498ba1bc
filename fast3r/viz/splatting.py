"""Draws points as small round discs that hide each other, on any CPU, without a display."""

import torch
from jaxtyping import Float, Int32, Int64, UInt8
from torch import Tensor

from fast3r.geometry.cameras import Camera, invert_rigid, project

_EMPTY = torch.iinfo(torch.int32).max
_RADIUS_BITS = 4
_MAX_RADIUS_PX = 2**_RADIUS_BITS - 1
_MAX_POINTS = 2 ** (31 - _RADIUS_BITS) - 1


def splat(
    points: Float[Tensor, "points 3"],
    colors: UInt8[Tensor, "points 3"],
    camera: Camera,
    *,
    diameters: Float[Tensor, " points"],
    max_radius_px: int = 12,
) -> tuple[UInt8[Tensor, "height width 3"], Float[Tensor, "height width"]]:
    """Return the picture that a camera takes of points, and the depth of each of its pixels.

    Pixels that no disc covers have infinite depth and no colour (0). A disc hides the points that
    lie behind its own by more than their radius. Where discs of one surface overlap, each pixel
    is that of the nearest point in the picture, so that many photos of a surface make it finer.

    Args:
        points: In the world; at most 134 million.
        colors: RGB.
        camera: Its size is the size of the picture.
        diameters: Of the discs, in world units; on the picture none is wider than
            2 `max_radius_px` + 1 pixels, and none vanishes.
        max_radius_px: Bounds the time that near points take; at most 15.
    """
    assert len(points) <= _MAX_POINTS
    assert max_radius_px <= _MAX_RADIUS_PX
    camera_from_world = invert_rigid(camera.world_from_camera.float())
    xy, depth = project(points, camera.intrinsics.float(), camera_from_world)
    size = xy.new_tensor([camera.width, camera.height])
    inside = (depth > 0) & ((xy > -max_radius_px) & (xy < size + max_radius_px)).all(dim=-1)
    seen = inside.nonzero()[:, 0]
    # In the order of depth, the number of a point tells which of two is nearer.
    seen = seen[depth[seen].argsort(stable=True)]
    depth, diameter = depth[seen], diameters[seen]
    radius_px = (camera.intrinsics[0, 0] * diameter / (2 * depth)).round().clamp(0, max_radius_px)
    raster = _Raster(camera.height, camera.width, max_radius_px)
    place = raster.place(xy[seen].floor().long())
    nearest = raster.nearest_disc(place, radius_px.int())
    ahead = depth[nearest.view(-1)[place].long()]
    front = (depth <= ahead + diameter / 2).nonzero()[:, 0]
    shown = raster.nearest_point(place[front], radius_px.int()[front])
    covered = raster.inner(nearest) != _EMPTY
    first, last = (raster.inner(numbers)[covered] for numbers in (nearest, shown))
    # At outlines a disc may be seen whose point is hidden.
    index = torch.where(last == _EMPTY, first, front.int()[last.where(last != _EMPTY, 0).long()])
    picture = torch.zeros(camera.height, camera.width, 3, dtype=torch.uint8)
    picture[covered] = colors[seen[index.long()]]
    distance = torch.full((camera.height, camera.width), torch.inf)
    distance[covered] = depth[index.long()]
    return picture, distance


class _Raster:
    """The pixels of a picture, with a margin for discs whose centres lie outside.

    Points are entered as single pixels that grow by one pixel at a time: what that takes depends
    on the size of the picture, hardly on the number and size of discs.
    """

    def __init__(self, height: int, width: int, margin: int) -> None:
        self._height, self._width, self._margin = height, width, margin

    def place(self, pixels: Int64[Tensor, "points 2"]) -> Int64[Tensor, " points"]:
        """Return the number of each pixel, row by row."""
        row, column = pixels[:, 1] + self._margin, pixels[:, 0] + self._margin
        return row * (self._width + 2 * self._margin) + column

    def inner(self, raster: Int32[Tensor, "rows columns"]) -> Int32[Tensor, "height width"]:
        """Return the raster without its margin."""
        end = (self._margin + self._height, self._margin + self._width)
        return raster[self._margin : end[0], self._margin : end[1]]

    def nearest_disc(
        self, place: Int64[Tensor, " points"], radius_px: Int32[Tensor, " points"]
    ) -> Int32[Tensor, "rows columns"]:
        """Return for each pixel the first in the order of depth of the discs that cover it.

        The largest discs are entered and grow, then those one pixel smaller are entered and all
        grow again, and so on: the least number is the same before and after growing.
        """
        nearest = self._empty()
        number = torch.arange(len(place), dtype=torch.int32)
        largest = int(radius_px.max()) if len(radius_px) else 0
        for radius in range(largest, -1, -1):
            members = (radius_px == radius).nonzero()[:, 0]
            nearest.view(-1).scatter_reduce_(0, place[members], number[members], "amin")
            if radius > 0:
                nearest = _grown(nearest, radius)
        return nearest

    def nearest_point(
        self, place: Int64[Tensor, " points"], radius_px: Int32[Tensor, " points"]
    ) -> Int32[Tensor, "rows columns"]:
        """Return for each pixel the nearest point in the picture of those whose discs cover it."""
        nearest = self._empty()
        # The radius in the lowest bits tells how far each may grow.
        key = (torch.arange(len(place), dtype=torch.int32) << _RADIUS_BITS) | radius_px
        nearest.view(-1).scatter_reduce_(0, place, key, "amin")
        largest = int(radius_px.max()) if len(radius_px) else 0
        for radius in range(1, largest + 1):
            growing = nearest.where((nearest & _MAX_RADIUS_PX) >= radius, _EMPTY)
            nearest = nearest.where(nearest != _EMPTY, _grown(growing, radius))
        return (nearest >> _RADIUS_BITS).where(nearest != _EMPTY, _EMPTY)

    def _empty(self) -> Int32[Tensor, "rows columns"]:
        size = (self._height + 2 * self._margin, self._width + 2 * self._margin)
        return torch.full(size, _EMPTY, dtype=torch.int32)


def _grown(raster: Int32[Tensor, "rows columns"], radius: int) -> Int32[Tensor, "rows columns"]:
    """Return the least number among each pixel and its neighbours.

    A share of sqrt(2) - 1 of all steps takes in the diagonal neighbours too: such steps in turn
    make regular octagons, which stand for discs.
    """
    diagonal = int(0.4142 * radius + 0.5) > int(0.4142 * (radius - 1) + 0.5)
    grown = raster.clone()
    torch.minimum(grown[1:], raster[:-1], out=grown[1:])
    torch.minimum(grown[:-1], raster[1:], out=grown[:-1])
    across = grown.clone() if diagonal else raster
    torch.minimum(grown[:, 1:], across[:, :-1], out=grown[:, 1:])
    torch.minimum(grown[:, :-1], across[:, 1:], out=grown[:, :-1])
    return grown
