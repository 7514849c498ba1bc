"""Random arrangements: rooms with furniture, streets and rocks outdoors, objects on a table.

All three kinds of scene are built in one way. Eight *supports* stand on the floor (furniture,
buildings, or a table and what is on it); *pieces* rest on the floor or on top of a support;
*panels* (pictures, doors, windows) hang on walls.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fast3r.data.procedural.dice import Dice
from fast3r.data.procedural.scene import (
    FIRST_BALL,
    FIRST_CYLINDER,
    NUM_BOXES,
    NUM_OBJECTS,
    NUM_SLOTS,
)

NUM_PANELS = 6
NUM_SUPPORTS = 8
TABLE = NUM_PANELS
"""The first support, of tabletops."""
FIRST_PIECE = NUM_PANELS + NUM_SUPPORTS
INDOOR, OUTDOOR, TABLETOP = 0, 1, 2
FLOOR_SIZE = 1e3
_ABSENT_DEPTH = 1e3


@dataclass(frozen=True)
class Style:
    """Ranges, in metres, that make one kind of scene."""

    area: tuple[float, float]
    """Half the side of the room, or of the place where supports stand."""

    support_width: tuple[float, float]
    """Half the width of a support."""

    support_height: tuple[float, float]
    """Half the height of a support."""

    piece: tuple[float, float]
    """Half the size of a piece."""

    panel: tuple[float, float]
    """Half the size of a panel."""

    gap: float
    """Supports keep at least this share of the area away from the middle."""

    relief: float
    """Greatest amplitude of the ground's waves."""


STYLES = (
    Style((1.6, 4.2), (0.2, 0.9), (0.15, 0.9), (0.06, 0.4), (0.25, 0.8), 0.3, 0.0),
    Style((6.0, 16.0), (0.6, 4.5), (0.5, 5.0), (0.25, 1.6), (0.4, 1.2), 0.25, 0.25),
    Style((1.5, 3.5), (0.05, 0.22), (0.04, 0.2), (0.025, 0.13), (0.04, 0.12), 0.0, 0.05),
)


@dataclass(frozen=True)
class Layout:
    """Where everything is."""

    kind: Int[Tensor, " batch"]
    """INDOOR, OUTDOOR or TABLETOP."""

    centre: Float[Tensor, "batch slots 3"]
    """World position of the middle of each shape."""

    half_size: Float[Tensor, "batch slots 3"]
    """Half the extent along the shape's own axes."""

    rotation: Float[Tensor, "batch slots 3 3"]
    """World from the shape's own axes."""

    area: Float[Tensor, "batch 2"]
    """Half the sides of the room, or of the place where things stand."""

    target: Float[Tensor, "batch 3"]
    """The middle of what there is to see."""

    target_spread: Float[Tensor, " batch"]
    """How far from the target cameras may aim."""


@dataclass(frozen=True)
class _Bodies:
    """Some shapes before they are sorted into slots."""

    centre: Tensor
    half_size: Tensor
    yaw: Tensor


def random_layout(dice: Dice, kind: Int[Tensor, " batch"], has_room: Tensor) -> Layout:
    """Return one arrangement of each kind asked for."""
    batch = len(kind)
    area = _range(dice, kind, "area", batch, 2)
    ceiling = dice.uniform(2.3, 3.4, batch)
    supports = _place_supports(dice, kind, area, has_room)
    pieces = _place_pieces(dice, kind, supports, area)
    panels = _place_panels(dice, kind, supports, area)
    walls = _Bodies(
        torch.stack([0 * ceiling, 0 * ceiling, ceiling / 2], -1)[:, None],
        torch.stack([area[:, 0], area[:, 1], ceiling / 2], -1)[:, None],
        torch.zeros(batch, 1),
    )
    ground = _Bodies(torch.zeros(batch, 1, 3), torch.ones(batch, 1, 3), torch.zeros(batch, 1))
    bodies = _join(panels, supports, pieces, walls, ground)
    rotation = _tilt(dice, bodies.yaw)
    target, spread = _target(dice, kind, supports)
    return Layout(kind, bodies.centre, bodies.half_size, rotation, area, target, spread)


def _range(dice: Dice, kind: Tensor, field: str, *shape: int) -> Tensor:
    """Return log-uniform numbers in the range that `field` has in each scene's style."""
    ranges = torch.tensor([getattr(style, field) for style in STYLES])[kind].log()
    low, high = (bound.reshape(-1, *[1] * (len(shape) - 1)) for bound in ranges.unbind(-1))
    return (low + (high - low) * dice.uniform(0, 1, *shape)).exp()


def _scalar(kind: Tensor, field: str) -> Tensor:
    return torch.tensor([getattr(style, field) for style in STYLES])[kind]


def _place_supports(dice: Dice, kind: Tensor, area: Tensor, has_room: Tensor) -> _Bodies:
    batch, shape = len(kind), (len(kind), NUM_SUPPORTS)
    width = _range(dice, kind, "support_width", *shape, 2)
    width = torch.minimum(width, 0.28 * area[:, None])
    height = _range(dice, kind, "support_height", *shape)
    half = torch.cat([width, height[..., None]], -1)
    gap = _scalar(kind, "gap")[:, None]
    angle = dice.uniform(0, 2 * torch.pi, batch, 1) + torch.arange(NUM_SUPPORTS) * 2.4
    reach = gap + (1 - gap) * dice.uniform(0, 1, *shape).sqrt()
    place = reach[..., None] * torch.stack([angle.cos(), angle.sin()], -1) * area[:, None]
    # Most furniture stands along a wall.
    to_wall = (area[:, None] - width).clamp(min=0) * torch.sign(place)
    lean = dice.below(2, *shape)[..., None] == torch.arange(2)
    at_wall = (kind == INDOOR)[:, None, None] & dice.chance(0.6, *shape)[..., None] & lean
    place = torch.where(at_wall, to_wall, place)
    bound = (area[:, None] - width).clamp(min=0)
    place = torch.where(has_room[:, None, None], place.clamp(-bound, bound), place)
    yaw = dice.normal(*shape) * torch.where(dice.chance(0.6, *shape), 0.03, 0.8)
    base = torch.zeros(shape)
    supports = _Bodies(torch.cat([place, (base + height)[..., None]], -1), half, yaw)
    supports = _hide(supports, dice.chance(0.15, *shape))
    return _set_table(dice, kind, supports)


def _set_table(dice: Dice, kind: Tensor, supports: _Bodies) -> _Bodies:
    """Return the supports with, for tabletops, the first one as a table under the others."""
    batch = len(kind)
    is_table = (kind == TABLETOP)[:, None]
    width = dice.uniform(0.4, 0.8, batch, 2)
    top, thickness = dice.uniform(0.4, 0.8, batch), dice.uniform(0.015, 0.04, batch)
    # A slab on nothing, or a solid block.
    deep = torch.where(dice.chance(0.5, batch), thickness, top / 2)
    table_half = torch.cat([width, deep[:, None]], -1)
    table = torch.stack([0 * top, 0 * top, top - deep], -1)
    heading = torch.nn.functional.normalize(supports.centre[..., :2], dim=-1)
    spread = heading * dice.uniform(0, 0.28, batch, NUM_SUPPORTS, 1)
    lifted = torch.cat([spread, supports.centre[..., 2:] + top[:, None, None]], -1)
    first = (torch.arange(NUM_SUPPORTS) == 0)[None, :, None]
    centre = torch.where(first, table[:, None], lifted)
    half = torch.where(first, table_half[:, None], supports.half_size)
    return _Bodies(
        torch.where(is_table[..., None], centre, supports.centre),
        torch.where(is_table[..., None], half, supports.half_size),
        supports.yaw,
    )


def _place_pieces(dice: Dice, kind: Tensor, supports: _Bodies, area: Tensor) -> _Bodies:
    count = NUM_OBJECTS - FIRST_PIECE
    shape = (len(kind), count)
    size = _range(dice, kind, "piece", *shape)
    half = size[..., None] * dice.log_uniform(0.5, 1.6, *shape, 3)
    tall = (torch.arange(count) + FIRST_PIECE >= FIRST_CYLINDER) & (
        torch.arange(count) + FIRST_PIECE < FIRST_BALL
    )
    half[..., 1] = torch.where(tall, half[..., 0], half[..., 1])
    half[..., 2] = torch.where(tall, half[..., 2] * dice.log_uniform(0.7, 3, *shape), half[..., 2])
    on_floor = dice.chance(0.4, *shape) & (kind != TABLETOP)[:, None]
    on_table = dice.chance(0.7, *shape) & (kind == TABLETOP)[:, None]
    below = torch.where(on_table, 0, dice.below(NUM_SUPPORTS, *shape))
    base = supports.centre.gather(1, below[..., None].expand(*shape, 3))
    base_half = supports.half_size.gather(1, below[..., None].expand(*shape, 3))
    offset = dice.uniform(-0.75, 0.75, *shape, 2) * base_half[..., :2]
    top = base[..., 2] + base_half[..., 2]
    floor_place = dice.uniform(-0.85, 0.85, *shape, 2) * area[:, None]
    place = torch.where(on_floor[..., None], floor_place, base[..., :2] + offset)
    z = torch.where(on_floor, 0.0, top) + half[..., 2] * 0.97
    pieces = _Bodies(torch.cat([place, z[..., None]], -1), half, dice.uniform(-3.1, 3.1, *shape))
    return _hide(pieces, dice.chance(0.12, *shape))


def _place_panels(dice: Dice, kind: Tensor, supports: _Bodies, area: Tensor) -> _Bodies:
    """Return thin boxes on the room's walls or, elsewhere, on the sides of the supports."""
    shape = (len(kind), NUM_PANELS)
    size = _range(dice, kind, "panel", *shape, 2)
    thickness = _range(dice, kind, "panel", *shape) * 0.04 + 0.002
    side = dice.below(4, *shape)
    along_x, sign = side < 2, 1.0 - 2 * (side % 2)
    slide = dice.uniform(-0.8, 0.8, *shape)

    below = 1 + dice.below(NUM_SUPPORTS - 1, *shape)
    base = supports.centre.gather(1, below[..., None].expand(*shape, 3))
    base_half = supports.half_size.gather(1, below[..., None].expand(*shape, 3))
    indoor = (kind == INDOOR)[:, None]
    half_x = torch.where(indoor, area[:, :1], base_half[..., 0])
    half_y = torch.where(indoor, area[:, 1:], base_half[..., 1])
    facing = sign * torch.where(along_x, half_x, half_y)
    across = slide * torch.where(along_x, half_y, half_x) * 0.8
    yaw = torch.where(indoor, 0.0, supports.yaw.gather(1, below))
    x, y = torch.where(along_x, facing, across), torch.where(along_x, across, facing)
    turned = torch.stack([x * yaw.cos() - y * yaw.sin(), x * yaw.sin() + y * yaw.cos()], -1)
    origin = torch.where(indoor[..., None], 0.0, base[..., :2])
    low = torch.where(
        indoor, 0.9 + 0.9 * slide.abs(), base[..., 2] + 0.3 * slide * base_half[..., 2]
    )
    centre = torch.cat([origin + turned, low[..., None]], -1)
    half = torch.stack(
        [
            torch.where(along_x, thickness, size[..., 0]),
            torch.where(along_x, size[..., 0], thickness),
            size[..., 1],
        ],
        -1,
    )
    return _hide(_Bodies(centre, half, yaw), dice.chance(0.15, *shape))


def _hide(bodies: _Bodies, absent: Tensor) -> _Bodies:
    """Return the shapes with some of them far below the ground, where no ray goes."""
    buried = bodies.centre.new_tensor([0, 0, -_ABSENT_DEPTH])
    centre = torch.where(absent[..., None], buried, bodies.centre)
    return _Bodies(centre, torch.where(absent[..., None], 1e-2, bodies.half_size), bodies.yaw)


def _join(*groups: _Bodies) -> _Bodies:
    fields = [(group.centre, group.half_size, group.yaw) for group in groups]
    return _Bodies(*(torch.cat(parts, 1) for parts in zip(*fields, strict=True)))


def _tilt(dice: Dice, yaw: Tensor) -> Tensor:
    """Return rotations about the vertical, and any rotation for balls, polytopes and rocks."""
    cos, sin, zero = yaw.cos(), yaw.sin(), torch.zeros_like(yaw)
    upright = torch.stack(
        [torch.stack([cos, -sin, zero], -1), torch.stack([sin, cos, zero], -1),
         torch.stack([zero, zero, zero + 1], -1)], -2,
    )  # fmt: skip
    first = dice.direction(*yaw.shape)
    second = torch.nn.functional.normalize(
        torch.linalg.cross(first, dice.direction(*yaw.shape)), dim=-1
    )
    free = torch.stack([first, second, torch.linalg.cross(first, second)], -1)
    slots = torch.arange(NUM_SLOTS)
    tumbles = (slots >= FIRST_BALL) & (slots < NUM_OBJECTS) & dice.chance(0.6, *yaw.shape)
    tumbles = tumbles | (
        (slots >= FIRST_PIECE) & (slots < NUM_BOXES) & dice.chance(0.15, *yaw.shape)
    )
    return torch.where(tumbles[..., None, None], free, upright)


def _target(dice: Dice, kind: Tensor, supports: _Bodies) -> tuple[Tensor, Tensor]:
    shown = supports.centre[..., 2] > -1
    weight = shown[..., None].float()
    middle = (supports.centre * weight).sum(1) / weight.sum(1).clamp(min=1)
    pick = torch.where(shown, dice.uniform(0, 1, *shown.shape), -1.0).argmax(1)
    one = supports.centre[torch.arange(len(kind)), pick]
    target = torch.lerp(middle, one, dice.uniform(0, 0.8, len(kind), 1))
    low = torch.tensor([0.5, 0.8, 0.0])[kind]
    high = torch.tensor([1.3, 2.5, 9.0])[kind]
    target[:, 2] = target[:, 2].clamp(low, high)
    return target, torch.tensor([0.5, 1.2, 0.06])[kind]
