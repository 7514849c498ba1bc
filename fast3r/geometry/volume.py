"""Depth maps fused in a volume of truncated signed distances (Curless and Levoy 1996).

Only blocks of voxels near a surface are kept, so that the memory grows with area, not with volume.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fast3r.geometry.cameras import invert_rigid, project

BLOCK = 8
"""Voxels along a side of a block."""

# Bounds memory: this many blocks are seen by a view at once.
_BLOCKS_AT_ONCE = 4096


@dataclass(frozen=True)
class SeenSurface:
    """What one view says of the surfaces before it."""

    depth: Float[Tensor, "height width"]
    """Along the camera's z axis; not positive where unknown."""

    weight: Float[Tensor, "height width"]
    """How much each pixel counts."""

    colors: Float[Tensor, "height width 3"]
    """Of the surface."""

    intrinsics: Float[Tensor, "3 3"]
    """In pixels of the depth map."""

    world_from_camera: Float[Tensor, "4 4"]
    """Rigid pose."""


class Volume:
    """Signed distances to the nearest surface, in blocks of voxels; positive before it."""

    def __init__(self, points: Float[Tensor, "points 3"], voxel: float, truncation: float) -> None:
        """Make room around some points of the surface.

        Args:
            points: Where surfaces are, closer together than a block.
            voxel: Side of a voxel, in world units.
            truncation: Distances are followed so far, in world units; less than a block.

        Raises:
            ValueError: The truncation is larger than a block.
        """
        if not voxel < truncation <= BLOCK * voxel:
            raise ValueError(f"truncation must lie in ({voxel}, {BLOCK * voxel}], got {truncation}")
        self.voxel, self.truncation = voxel, truncation
        self.blocks = _blocks_around(points, voxel * BLOCK)
        shape = (len(self.blocks), BLOCK, BLOCK, BLOCK)
        self.distance = torch.zeros(shape)
        self.weight = torch.zeros(shape)
        self.colors = torch.zeros(*shape, 3)

    def add(self, seen: SeenSurface) -> None:
        """Average what a view saw into the volume."""
        for chosen in self._before(seen).split(_BLOCKS_AT_ONCE):
            self._add(seen, chosen)

    def dense(self) -> tuple[Float[Tensor, "x y z"], Bool[Tensor, "x y z"], Float[Tensor, " 3"]]:
        """Return distances in units of the truncation, which are known, and the first centre."""
        first, sides, place = self._box()
        distance = torch.ones(sides)
        known = torch.zeros(sides, dtype=torch.bool)
        distance.view(-1)[place] = self._distances().flatten()
        known.view(-1)[place] = (self.weight > 0).flatten()
        return distance, known, (first + 0.5) * self.voxel

    def colors_at(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
        """Return the colour of the voxel that each point lies in."""
        first, sides, place = self._box()
        row = torch.full((math.prod(sides),), -1)
        row[place] = torch.arange(self.weight.numel())
        found = row[_place_in(sides, (points / self.voxel).floor().long() - first)]
        weight = self.weight.flatten()[found, None].clamp(min=1e-12)
        return self.colors.flatten(0, 3)[found] / weight

    def _distances(self) -> Float[Tensor, "blocks x y z"]:
        return (self.distance / self.weight).where(self.weight > 0, 1.0)

    def _before(self, seen: SeenSurface) -> Int64[Tensor, " chosen"]:
        """Return the blocks of which the view may see a part."""
        height, width = seen.depth.shape
        radius = math.sqrt(3) / 2 * BLOCK * self.voxel
        centres = (self.blocks + 0.5) * (BLOCK * self.voxel)
        pixels, along = project(centres, seen.intrinsics, invert_rigid(seen.world_from_camera))
        reach = radius / along.clamp(min=radius) * float(seen.intrinsics[:2, :2].max())
        (x, y), deepest = pixels.unbind(-1), float(seen.depth.max()) + self.truncation + radius
        inside = (x > -reach) & (x < width + reach) & (y > -reach) & (y < height + reach)
        close = along.abs() <= 2 * radius
        return (((along > 0) & (along < deepest) & inside) | close).nonzero()[:, 0]

    def _add(self, seen: SeenSurface, chosen: Int64[Tensor, " chosen"]) -> None:
        height, width = seen.depth.shape
        centres = self._centres(chosen)
        camera_from_world = invert_rigid(seen.world_from_camera)
        pixels, along = project(centres, seen.intrinsics, camera_from_world)
        column, row = pixels.floor().long().unbind(-1)
        inside = (along > 0) & (row >= 0) & (row < height) & (column >= 0) & (column < width)
        pixel = (row * width + column).where(inside, 0)
        depth = seen.depth.flatten()[pixel]
        distance = (depth - along) / self.truncation
        counts = inside & (depth > 0) & (distance > -1)
        weight = seen.weight.flatten()[pixel].where(counts, 0)
        shape = (len(chosen), BLOCK, BLOCK, BLOCK)
        self.distance[chosen] += (weight * distance.clamp(max=1).where(counts, 0)).view(shape)
        self.weight[chosen] += weight.view(shape)
        colors = seen.colors.flatten(0, 1)[pixel]
        self.colors[chosen] += (weight[:, None] * colors).view(*shape, 3)

    def _centres(self, chosen: Int64[Tensor, " chosen"]) -> Float[Tensor, "voxels 3"]:
        return (_voxels_in(self.blocks[chosen]) + 0.5) * self.voxel

    def _box(self) -> tuple[Int64[Tensor, " 3"], list[int], Int64[Tensor, " voxels"]]:
        """Return the first voxel of the box around all blocks, its sides, and our places in it."""
        low, high = self.blocks.amin(dim=0), self.blocks.amax(dim=0) + 1
        first, sides = low * BLOCK, ((high - low) * BLOCK).tolist()
        return first, sides, _place_in(sides, _voxels_in(self.blocks) - first)


def _voxels_in(blocks: Int64[Tensor, "blocks 3"]) -> Int64[Tensor, "voxels 3"]:
    inner = torch.cartesian_prod(*[torch.arange(BLOCK)] * 3)
    return (blocks[:, None] * BLOCK + inner).flatten(0, 1)


def _place_in(sides: list[int], cells: Int64[Tensor, "cells 3"]) -> Int64[Tensor, " cells"]:
    """Return where cells are in a flattened box."""
    return (cells[:, 0] * sides[1] + cells[:, 1]) * sides[2] + cells[:, 2]


def _blocks_around(points: Float[Tensor, "points 3"], side: float) -> Int64[Tensor, "blocks 3"]:
    """Return the blocks that hold a point, and all their neighbours."""
    blocks = _distinct((points / side).floor().long())
    around = torch.cartesian_prod(*[torch.arange(-1, 2)] * 3)
    return _distinct((blocks[:, None] + around).flatten(0, 1))


def _distinct(cells: Int64[Tensor, "cells 3"]) -> Int64[Tensor, "distinct 3"]:
    """Return the cells, each once; one number per cell sorts much faster than three."""
    low = cells.amin(dim=0)
    sides = (cells.amax(dim=0) - low + 1).tolist()
    keys = _place_in(sides, cells - low).unique()
    return torch.stack(torch.unravel_index(keys, sides), dim=-1) + low
