"""Measured lengths: between which points, and what they say of the scale of a scene."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import pixels_through, rays_through
from fast3r.geometry.lenses import ideal_from_photo
from fast3r.scene.priors.checks import check_positive
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.scales import LENGTH_SIGMA, ScaleVote
from fast3r.scene.priors.types import Distance, Spot
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.names import Names
from fast3r.views.view import View

End = tuple[int, tuple[float, float] | None]
"""Index of a view, and a pixel of its original photo, or None for its camera."""


@dataclass(frozen=True)
class BoundDistance:
    """A length between two points."""

    name: str
    """For messages."""

    metres: float
    """How long."""

    ends: tuple[End, End]
    """Between which points."""

    relative_error: float
    """Standard deviation."""


def bind_distance(distance: Distance, views: Sequence[View], names: Names) -> BoundDistance:
    """Return a distance by the indices of its views.

    Raises:
        ValueError: It cannot be true, or is of no view.
    """
    first, second = distance.between
    name = f"distance from {_said(first)} to {_said(second)}"
    check_positive(distance.metres, what=name)
    check_positive(distance.relative_error, what=f"relative_error of {name}")
    ends = _end(first, views, names, name), _end(second, views, names, name)
    if ends[0] == ends[1]:
        raise ValueError(f"{name}: both ends are the same")
    return BoundDistance(name, distance.metres, ends, distance.relative_error)


def _said(end: Spot | str) -> str:
    if isinstance(end, str):
        return f"the camera of {end}"
    return f"({end.pixel[0]:g}, {end.pixel[1]:g}) in {end.view}"


def _end(end: Spot | str, views: Sequence[View], names: Names, what: str) -> End:
    if isinstance(end, str):
        return names.index(end, what=what), None
    index = names.index(end.view, what=what)
    view, (x, y) = views[index], end.pixel
    if not (0 <= x <= view.original_width and 0 <= y <= view.original_height):
        raise ValueError(
            f"{what}: pixel ({x:g}, {y:g}) lies outside {view.name}, which has "
            f"{view.original_width}x{view.original_height} px"
        )
    return index, end.pixel


def distance_votes(
    scene: Reconstruction, distances: Sequence[BoundDistance]
) -> Iterator[ScaleVote | PriorCheck]:
    """Yield what each distance says of the scale, or why it says nothing."""
    for distance in distances:
        try:
            first, second = (_point(scene, *end) for end in distance.ends)
        except _NoPointError as error:
            yield PriorCheck.unused(distance.name, str(error))
            continue
        length = (first - second).norm().item()
        if length == 0:
            yield PriorCheck.unused(distance.name, "it is 0 in the scene")
            continue
        sigma = math.hypot(distance.relative_error, LENGTH_SIGMA)
        yield ScaleVote(distance.name, "distances", math.log(distance.metres / length), sigma)


class _NoPointError(Exception):
    """An end of a distance has no place in the scene; the message says why."""


def _point(
    scene: Reconstruction, index: int, pixel: tuple[float, float] | None
) -> Float[Tensor, " 3"]:
    """Return a point of the surface, or the centre of a camera, in float64."""
    camera, view = scene.cameras[index], scene.views[index]
    if camera is None:
        raise _NoPointError(f"{view.name} has no camera ({scene.failures[index]})")
    pose = camera.world_from_camera.double()
    if pixel is None:
        return pose[:3, 3]
    ideal = ideal_from_photo(torch.tensor([pixel], dtype=torch.float64), view.lens)
    network = pixels_through(view.network_from_original, ideal)[0]
    depth = _depth_near(scene, index, network) if network.isfinite().all() else None
    if depth is None:
        raise _NoPointError(f"({pixel[0]:g}, {pixel[1]:g}) in {view.name} has no depth")
    point = rays_through(ideal, camera.intrinsics.double())[0] * depth
    return pose[:3, :3] @ point + pose[:3, 3]


def _depth_near(
    scene: Reconstruction, index: int, network: Float[Tensor, " 2"]
) -> Float[Tensor, ""] | None:
    """Return the depth between the four pixels around a position; None where all have none."""
    depth, valid = scene.depth[index].double(), scene.valid(index)
    height, width = depth.shape
    x, y = (network - 0.5).tolist()
    left, top = math.floor(x), math.floor(y)
    total, share = torch.zeros((), dtype=torch.float64), 0.0
    for column, across in ((left, left + 1 - x), (left + 1, x - left)):
        for row, along in ((top, top + 1 - y), (top + 1, y - top)):
            r, c = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
            if valid[r, c]:
                total = total + across * along * depth[r, c]
                share += across * along
    beside = not (-1 <= x <= width and -1 <= y <= height)
    return None if share == 0 or beside else total / share
