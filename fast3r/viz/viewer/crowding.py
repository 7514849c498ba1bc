"""How close points lie where many views see one surface, and need not be drawn so large."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_CUBE_SIZES = 11
_ENOUGH_POINTS = 12
_SHIFTS = (0.2, 0.7)
"""Of the grids, in sides of a cube; surfaces like to lie at 0."""


class Crowd:
    """A sample of surface points, counted in cubes of many sizes."""

    def __init__(self, points: Float[Tensor, "points 3"], radius: float) -> None:
        self._grids = [
            [_counted(points, radius * 2.0 ** (1 - k), shift) for k in range(_CUBE_SIZES)]
            for shift in _SHIFTS
        ]

    def spacing(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Return about how far the sample's points lie apart around each of these points.

        Told by the smallest cube that holds enough of them; infinite where none does. Of grids
        that are shifted against each other, so that no edge of a cube shows, the largest counts.
        """
        return torch.stack([_looked_up(points, grid) for grid in self._grids]).amax(dim=0)


@dataclass(frozen=True)
class _Cubes:
    """The cubes of one size that hold enough points, and how far these lie apart."""

    side: float
    shift: float
    keys: Int64[Tensor, " cubes"]
    spacing: Float[Tensor, " cubes"]


def _counted(points: Float[Tensor, "points 3"], side: float, shift: float) -> _Cubes:
    keys, count = _cube(points, side, shift).unique(return_counts=True)
    enough = count >= _ENOUGH_POINTS
    # A cube that a surface passes through holds about the square of its side of it.
    return _Cubes(side, shift, keys[enough], side / count[enough].sqrt())


def _looked_up(points: Float[Tensor, "points 3"], grid: list[_Cubes]) -> Float[Tensor, " points"]:
    spacing = torch.full((len(points),), torch.inf)
    for cubes in grid:
        if len(cubes.keys) == 0:
            continue
        wanted = _cube(points, cubes.side, cubes.shift)
        place = torch.searchsorted(cubes.keys, wanted).clamp(max=len(cubes.keys) - 1)
        spacing = torch.where(cubes.keys[place] == wanted, cubes.spacing[place], spacing)
    return spacing


def _cube(points: Float[Tensor, "points 3"], side: float, shift: float) -> Int64[Tensor, " points"]:
    """Return a number for the cube that each point is in.

    Two cubes may have one number; with primes as large as these (Teschner, 2003) that is rare
    enough for an estimate.
    """
    cell = (points / side + shift).floor().long()
    return (cell * torch.tensor([73856093, 19349663, 83492791])).sum(dim=-1)
