"""Where rays meet shapes, in closed form or by marching.

Rays are `origin + t * direction` with t >= 0, in the world frame of `scene`. Inside, rays are the
last axis, so that a scene's numbers meet long rows of them, and products are written out by
coordinates: a matrix product would lose digits on GPUs that round its factors.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fast3r.data.procedural.scene import (
    FIRST_BALL,
    FIRST_CYLINDER,
    FIRST_POLYTOPE,
    FIRST_ROCK,
    GROUND,
    NUM_OBJECTS,
    ROOM,
    Scene,
)

Coordinates: TypeAlias = list[Tensor]

GROUND_STEPS = 14
ROCK_STEPS = 7
REFINEMENTS = 4
FAR = 1e6
_EPS = 1e-9
_EDGES = (0, FIRST_CYLINDER, FIRST_BALL, FIRST_POLYTOPE, FIRST_ROCK, NUM_OBJECTS)


def trace(
    scene: Scene, origin: Float[Tensor, "batch rays 3"], direction: Float[Tensor, "batch rays 3"]
) -> tuple[Float[Tensor, "batch rays"], Int[Tensor, "batch rays"]]:
    """Return how far along each ray the first surface is, and its slot.

    The distance is in lengths of `direction`: `FAR` where nothing is met, 0 for a ray that starts
    inside a shape.
    """
    rays = _by_coordinate(origin), _by_coordinate(direction)
    entry, leave = _object_spans(scene, *rays)
    entry = entry.clamp(min=0)
    rocks = _march_rocks(scene, *rays, entry[:, FIRST_ROCK:], leave[:, FIRST_ROCK:])
    solid = torch.where(leave > entry, entry, FAR)[:, :FIRST_ROCK]
    distances = [solid, rocks, _leave_room(scene, *rays), _march_ground(scene, *rays)]
    nearest = torch.cat(distances, 1).min(1)
    return nearest.values, nearest.indices


def shadowed(
    scene: Scene,
    origin: Float[Tensor, "batch rays 3"],
    to_light: Float[Tensor, "batch rays 3"],
    slot: Int[Tensor, "batch rays"],
) -> Bool[Tensor, "batch rays"]:
    """Return whether another object lies between each surface point and the light.

    Rocks count as the balls around them; walls and ground cast no shadow.
    """
    entry, leave = _object_spans(scene, _by_coordinate(origin), _by_coordinate(to_light))
    others = torch.arange(NUM_OBJECTS, device=slot.device)[:, None] != slot[:, None]
    return ((entry < 1) & (leave > entry.clamp(min=0)) & others).any(1)


def ground_height(
    waves: Float[Tensor, "batch waves 4"],
    x: Float[Tensor, "batch ..."],
    y: Float[Tensor, "batch ..."],
) -> Float[Tensor, "batch ..."]:
    """Return the height of the ground at places of each scene."""
    height = torch.zeros_like(x)
    for wave in waves.unbind(1):
        numbers = (number.reshape(-1, *[1] * (x.ndim - 1)) for number in wave.unbind(-1))
        along_x, along_y, phase, amplitude = numbers
        height = height + amplitude * torch.sin(along_x * x + along_y * y + phase)
    return height


def _by_coordinate(vectors: Tensor) -> Coordinates:
    """Return x, y and z of (batch, rays, 3) as (batch, 1, rays), each contiguous."""
    return [part.contiguous() for part in vectors[:, None].unbind(-1)]


def _to_local(
    local_from_world: Tensor, origin: Coordinates, direction: Coordinates
) -> tuple[Coordinates, Coordinates]:
    """Return rays in the frame of each object, as three (batch, objects, rays)."""
    x, y, z = origin
    u, v, w = direction
    rows = [row[..., None].unbind(-2) for row in local_from_world.unbind(-2)]
    start = [a * x + b * y + c * z + shift for a, b, c, shift in rows]
    step = [a * u + b * v + c * w for a, b, c, _ in rows]
    return start, step


def _object_spans(
    scene: Scene, origin: Coordinates, direction: Coordinates
) -> tuple[Tensor, Tensor]:
    """Return where each ray enters and leaves each object: (batch, objects, rays).

    Entry lies beyond leave where it misses. Rocks are taken as the balls around them.
    """
    start, step = _to_local(scene.local_from_world[:, :NUM_OBJECTS], origin, direction)

    boxes, cylinders, balls, polytopes, rocks = (
        ([x[:, first:last] for x in start], [x[:, first:last] for x in step])
        for first, last in pairwise(_EDGES)
    )
    spans = [
        _box_span(*boxes),
        _cylinder_span(*cylinders),
        _ball_span(*balls),
        _polytope_span(scene.planes, *polytopes),
        _ball_span(*rocks),
    ]
    return torch.cat([span[0] for span in spans], 1), torch.cat([span[1] for span in spans], 1)


def _away_from_zero(values: Tensor) -> Tensor:
    return torch.where(values.abs() < _EPS, _EPS, values)


def _slab(start: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Return where rays are within [-1, 1] along one axis."""
    inverse = _away_from_zero(step).reciprocal()
    middle, reach = -start * inverse, inverse.abs()
    return middle - reach, middle + reach


def _box_span(start: Coordinates, step: Coordinates) -> tuple[Tensor, Tensor]:
    entry, leave = _slab(start[0], step[0])
    for axis in (1, 2):
        axis_entry, axis_leave = _slab(start[axis], step[axis])
        entry, leave = torch.maximum(entry, axis_entry), torch.minimum(leave, axis_leave)
    return entry, leave


def _ball_span(start: Coordinates, step: Coordinates) -> tuple[Tensor, Tensor]:
    """Return where rays are within 1 of the origin, or of an axis if given two coordinates."""
    squared_speed = _dot(step, step).clamp(min=_EPS)
    middle = -_dot(start, step) / squared_speed
    # The distance to the closest point, not b^2 - 4ac: it keeps its digits for far, small balls.
    closest = [o + middle * d for o, d in zip(start, step, strict=True)]
    inner = 1 - _dot(closest, closest)
    reach = torch.where(inner > 0, (inner.clamp(min=0) / squared_speed).sqrt(), -1.0)
    return middle - reach, middle + reach


def _dot(first: Coordinates, second: Coordinates) -> Tensor:
    total = first[0] * second[0]
    for a, b in zip(first[1:], second[1:], strict=True):
        total = total + a * b
    return total


def _cylinder_span(start: Coordinates, step: Coordinates) -> tuple[Tensor, Tensor]:
    side_entry, side_leave = _ball_span(start[:2], step[:2])
    cap_entry, cap_leave = _slab(start[2], step[2])
    return torch.maximum(side_entry, cap_entry), torch.minimum(side_leave, cap_leave)


def _polytope_span(planes: Tensor, start: Coordinates, step: Coordinates) -> tuple[Tensor, Tensor]:
    entry, leave = torch.full_like(start[0], -FAR), torch.full_like(start[0], FAR)
    for plane in planes.unbind(2):
        normal = list(plane[..., None].unbind(-2))
        speed = _away_from_zero(_dot(normal, step))
        crossing = (1 - _dot(normal, start)) / speed
        entry = torch.where(speed < 0, torch.maximum(entry, crossing), entry)
        leave = torch.where(speed < 0, leave, torch.minimum(leave, crossing))
    return entry, leave


def _march_rocks(
    scene: Scene, origin: Coordinates, direction: Coordinates, begin: Tensor, end: Tensor
) -> Tensor:
    start, step = _to_local(scene.local_from_world[:, FIRST_ROCK:NUM_OBJECTS], origin, direction)
    lumps = [list(lump[..., None].unbind(-2)) for lump in scene.lumps.unbind(2)]
    middle = 1 - 0.5 * scene.lump_depth[..., None]
    swing = (0.5 / len(lumps)) * scene.lump_depth[..., None]

    def height(t: Tensor) -> Tensor:
        point = [o + t * d for o, d in zip(start, step, strict=True)]
        squared = _dot(point, point) + 1e-12
        inverse = squared.rsqrt()
        waves = [torch.sin(_dot(lump[:3], point) * inverse + lump[3]) for lump in lumps]
        return squared * inverse - middle - swing * sum(waves[1:], waves[0])

    return torch.where(end > begin, _first_crossing(height, begin, end, ROCK_STEPS), FAR)


def _march_ground(scene: Scene, origin: Coordinates, direction: Coordinates) -> Tensor:
    relief = scene.ground_waves[..., 3].abs().sum(-1)[:, None, None] + 1e-3
    inverse = _away_from_zero(direction[2]).reciprocal()
    middle, reach = -origin[2] * inverse, relief * inverse.abs()
    begin = (middle - reach).clamp(0, FAR)
    # Beyond this a grazing ray would only meet ground too far away to count.
    end = torch.minimum(middle + reach, begin + 100)

    def height(t: Tensor) -> Tensor:
        x, y, z = (o + t * d for o, d in zip(origin, direction, strict=True))
        return z - ground_height(scene.ground_waves, x, y)

    hit = _first_crossing(height, begin, end, GROUND_STEPS)
    return torch.where((end > begin) & ~scene.has_room[:, None, None], hit, FAR)


def _first_crossing(
    height: Callable[[Tensor], Tensor], begin: Tensor, end: Tensor, steps: int
) -> Tensor:
    """Return the first t in [begin, end] where `height` is no longer positive, else `FAR`."""
    stride = (end - begin) / steps
    above, found = begin, height(begin) <= 0
    below = torch.where(found, begin, FAR)
    for index in range(1, steps + 1):
        t = begin + index * stride
        under = height(t) <= 0
        below = torch.where(under & ~found, t, below)
        found = found | under
        above = torch.where(found, above, t)
    for _ in range(REFINEMENTS):
        middle = (above + below) / 2
        under = height(middle) <= 0
        above, below = torch.where(under, above, middle), torch.where(under, middle, below)
    high, low = height(above), height(below)
    crossing = above + (below - above) * (high / (high - low).clamp(min=1e-9)).clamp(0, 1)
    return torch.where(found, crossing, FAR)


def _leave_room(scene: Scene, origin: Coordinates, direction: Coordinates) -> Tensor:
    start, step = _to_local(scene.local_from_world[:, ROOM:GROUND], origin, direction)
    entry, leave = _box_span(start, step)
    inside = (entry <= 0) & (leave > 0) & scene.has_room[:, None, None]
    return torch.where(inside, leave, FAR)
