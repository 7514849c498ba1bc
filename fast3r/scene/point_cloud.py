"""A coloured point cloud that remembers where each point was seen, and ways to thin it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

HELD_PIXELS = 4_000_000
"""Scenes of so many pixels, 20 views of 512x384, have their points made once for all formats."""

_PART = 250_000
"""Points of a cloud that are worked on at a time."""

_FEW = 1_000_000
"""Points that are sorted together however few of them are left."""


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


class ViewClouds:
    """The points of a scene, view by view: each cloud is made when it is asked for.

    Can be gone through any number of times, and never holds more than one view.
    """

    def __init__(
        self,
        indices: Sequence[int],
        kept: Callable[[int], Bool[Tensor, "_height _width"]],
        lifted: Callable[[int, Bool[Tensor, "_height _width"]], PointCloud],
    ) -> None:
        """Take the views `indices`, which of their pixels count, and what makes points of those."""
        self._indices, self._kept, self._lifted = indices, kept, lifted

    def __iter__(self) -> Iterator[PointCloud]:
        for index in self._indices:
            yield self._lifted(index, self._kept(index))

    @cached_property
    def num_points(self) -> int:
        """How many points all views have, counted without making them."""
        return sum(int(self._kept(index).sum()) for index in self._indices)


Cloud = PointCloud | ViewClouds
"""Points that are there, or that are made view by view."""


def parts_of(cloud: Cloud) -> Iterable[PointCloud]:
    """Return all points of a cloud in order, some at a time."""
    if isinstance(cloud, ViewClouds):
        return cloud
    starts = range(0, max(1, len(cloud)), _PART)
    return (
        PointCloud(**{name: column[k : k + _PART] for name, column in vars(cloud).items()})
        for k in starts
    )


def num_points(cloud: Cloud) -> int:
    """Return how many points a cloud has."""
    return len(cloud) if isinstance(cloud, PointCloud) else cloud.num_points


def bounds(cloud: Cloud) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]] | None:
    """Return the least and the largest coordinates; None where there is no point."""
    ends = [part.points.aminmax(dim=0) for part in parts_of(cloud) if len(part)]
    if not ends:
        return None
    return torch.stack([low for low, _ in ends]).amin(0), torch.stack([h for _, h in ends]).amax(0)


def evenly_thinned(cloud: Cloud, most: int) -> PointCloud:
    """Return at most so many points of a cloud: each whose number is a multiple of some step."""
    step = 1 + num_points(cloud) // most
    chosen, passed = [], 0
    for part in parts_of(cloud):
        chosen.append(part.take(torch.arange(len(part))[-passed % step :: step]))
        passed += len(part)
    return concatenate(chosen)


def concatenate(clouds: Sequence[PointCloud]) -> PointCloud:
    """Return all points of one or more clouds, in order."""
    if len(clouds) == 1:
        return clouds[0]
    columns = {f.name: torch.cat([getattr(c, f.name) for c in clouds]) for f in fields(PointCloud)}
    return PointCloud(**columns)


def surest_per_voxel(cloud: Cloud, voxel: float) -> PointCloud:
    """Return the most confident point of each occupied cube of side `voxel`, in input order.

    Holds hardly more than twice the points that it returns, and one view.

    Raises:
        ValueError: `voxel` is not positive, or so small that the cubes cannot be numbered.
    """
    if not voxel > 0:
        raise ValueError(f"voxel must be a positive length in world units, got {voxel}")
    ends = bounds(cloud)
    if ends is None:
        return concatenate(list(parts_of(cloud)))
    low, high = ends
    cubes_per_axis = ((high.double() - low.double()) / voxel).floor() + 1
    if cubes_per_axis.prod() >= 2**62:
        raise ValueError(
            f"voxel {voxel} is too small for a scene that extends over "
            f"{(high - low).max().item():.3g} world units; use a larger one"
        )
    cubes = cubes_per_axis.long()
    thin: list[PointCloud] = []
    waiting: list[PointCloud] = []
    for part in parts_of(cloud):
        waiting.append(part)
        if sum(map(len, waiting)) > max(_FEW, sum(map(len, thin))):
            thin = [_surest_per_cube(concatenate(thin + waiting), low, cubes, voxel)]
            waiting = []
    if waiting:
        thin = [_surest_per_cube(concatenate(thin + waiting), low, cubes, voxel)]
    return thin[0]


def _surest_per_cube(
    cloud: PointCloud, low: Float[Tensor, "3"], cubes: Int64[Tensor, "3"], voxel: float
) -> PointCloud:
    cell = ((cloud.points.double() - low.double()) / voxel).floor().long()
    key = (cell[:, 0] * cubes[1] + cell[:, 1]) * cubes[2] + cell[:, 2]
    # Two stable sorts: surest first, then by cube, so each cube begins with its surest point.
    order = cloud.confidence.argsort(descending=True, stable=True)
    order = order[key[order].argsort(stable=True)]
    begins = torch.ones(len(cloud), dtype=torch.bool)
    begins[1:] = key[order].diff() != 0
    return cloud.take(order[begins].sort().values)


def random_points(cloud: Cloud, count: int, *, seed: int = 0) -> PointCloud:
    """Return `count` points drawn without replacement, in input order; all where there are fewer.

    Each point gets a random number, and the largest are drawn. Holds at most twice the points that
    it returns, and one view.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"max_points must be at least 1, got {count}")
    generator = torch.Generator().manual_seed(seed)
    drawn: list[PointCloud] = []
    numbers: list[Tensor] = []
    least = torch.zeros(1, dtype=torch.float64)
    for part in parts_of(cloud):
        number = torch.rand(len(part), generator=generator, dtype=torch.float64)
        chosen = (number >= least).nonzero()[:, 0]
        drawn.append(part.take(chosen))
        numbers.append(number[chosen])
        if sum(map(len, numbers)) > 2 * count:
            drawn, numbers = _largest(drawn, numbers, count)
            least = numbers[0].amin()
    return _largest(drawn, numbers, count)[0][0]


def _largest(
    clouds: list[PointCloud], numbers: list[Float[Tensor, " _points"]], count: int
) -> tuple[list[PointCloud], list[Float[Tensor, " _points"]]]:
    """Return the `count` points of the largest numbers, in input order."""
    cloud, number = concatenate(clouds), torch.cat(numbers)
    if len(cloud) <= count:
        return [cloud], [number]
    chosen = number.topk(count).indices.sort().values
    return [cloud.take(chosen)], [number[chosen]]
