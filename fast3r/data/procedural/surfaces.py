"""The surface at each hit: its place, normal, texture coordinates and material."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fast3r.data.procedural.scene import (
    FACES,
    FIRST_BALL,
    FIRST_CYLINDER,
    FIRST_POLYTOPE,
    FIRST_ROCK,
    GROUND,
    NUM_OBJECTS,
    ROOM,
    Scene,
)


@dataclass(frozen=True)
class Surface:
    """What is known of the surface where each ray ends."""

    point: Float[Tensor, "batch rays 3"]
    """World position."""

    normal: Float[Tensor, "batch rays 3"]
    """World direction away from the surface, unit length."""

    along: Float[Tensor, "batch rays 2 3"]
    """World directions in which the two texture coordinates grow."""

    coordinates: Float[Tensor, "batch rays 2"]
    """Texture coordinates in metres; the second one upwards on walls."""

    material: Float[Tensor, "batch rays material_size"]
    """The row of the scene's materials."""


def surface_at(
    scene: Scene, point: Float[Tensor, "batch rays 3"], slot: Int[Tensor, "batch rays"]
) -> Surface:
    """Return the surface of the given slots at points on them."""
    frame = _rows(scene.local_from_world, slot)
    half = _rows(scene.half_size, slot)
    local = (frame[..., :3] * point[..., None, :]).sum(-1) + frame[..., 3]
    local_normal, face = _local_normal(scene, local, point, slot)
    normal = torch.nn.functional.normalize(
        (frame[..., :3] * local_normal[..., None]).sum(-2), dim=-1
    )
    axes = frame[..., :3] * half[..., None]
    coordinates, along = _texture_coordinates(local * half, half, axes, normal, slot, face)
    material = _rows(scene.materials, slot * FACES + face % FACES)
    return Surface(point, normal, along, coordinates, material)


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """Return the row of its own scene's table for each ray."""
    batch, length = table.shape[:2]
    offset = torch.arange(batch, device=index.device)[:, None] * length
    return table.flatten(0, 1)[index + offset]


def _local_normal(
    scene: Scene, local: Tensor, point: Tensor, slot: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the outward direction in the local frame, of any length, and the face."""
    box_normal, box_face = _box_normal(local)
    cylinder_normal, cylinder_face = _cylinder_normal(local)
    polytope_normal, polytope_face = _polytope_normal(scene, local, slot)
    choices = [
        (slot >= FIRST_CYLINDER, cylinder_normal, cylinder_face),
        (slot >= FIRST_BALL, local, torch.zeros_like(box_face)),
        (slot >= FIRST_POLYTOPE, polytope_normal, polytope_face),
        (slot >= FIRST_ROCK, _rock_normal(scene, local, slot), torch.zeros_like(box_face)),
        (slot == ROOM, -box_normal, box_face),
        (slot == GROUND, _ground_normal(scene, point), torch.zeros_like(box_face)),
    ]
    normal, face = box_normal, box_face
    for here, choice, choice_face in choices:
        normal = torch.where(here[..., None], choice, normal)
        face = torch.where(here, choice_face, face)
    return normal, face


def _box_normal(local: Tensor) -> tuple[Tensor, Tensor]:
    axis = local.abs().argmax(-1)
    positive = local.gather(-1, axis[..., None])[..., 0] > 0
    sign = torch.where(positive, 1.0, -1.0)
    return _unit_axis(axis) * sign[..., None], 2 * axis + positive


def _unit_axis(axis: Tensor) -> Tensor:
    return (torch.arange(3, device=axis.device) == axis[..., None]).to(torch.float32)


def _cylinder_normal(local: Tensor) -> tuple[Tensor, Tensor]:
    height = local[..., 2]
    is_cap = height.abs() > local[..., :2].norm(dim=-1)
    flat = torch.stack([local[..., 0], local[..., 1], 0 * height], -1)
    cap = torch.stack([0 * height, 0 * height, height.sign()], -1)
    face = torch.where(is_cap, 1 + (height > 0).long(), 0)
    return torch.where(is_cap[..., None], cap, flat), face


def _polytope_normal(scene: Scene, local: Tensor, slot: Tensor) -> tuple[Tensor, Tensor]:
    index = (slot - FIRST_POLYTOPE).clamp(0, FIRST_ROCK - FIRST_POLYTOPE - 1)
    planes = _rows(scene.planes, index)
    face = (planes * local[..., None, :]).sum(-1).argmax(-1)
    picked = face[..., None, None].expand(*face.shape, 1, 3)
    return planes.gather(-2, picked)[..., 0, :], face


def _rock_normal(scene: Scene, local: Tensor, slot: Tensor) -> Tensor:
    """Return the gradient of |x| - radius(x / |x|)."""
    index = (slot - FIRST_ROCK).clamp(0, NUM_OBJECTS - FIRST_ROCK - 1)
    lumps = _rows(scene.lumps, index)
    depth = _rows(scene.lump_depth[..., None], index)
    distance = local.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    unit = local / distance
    phase = (lumps[..., :3] * unit[..., None, :]).sum(-1) + lumps[..., 3]
    slope = 0.5 * depth * (phase.cos()[..., None] * lumps[..., :3]).mean(-2)
    tangential = slope - (slope * unit).sum(-1, keepdim=True) * unit
    return unit - tangential / distance


def _ground_normal(scene: Scene, point: Tensor) -> Tensor:
    along_x, along_y, phase, amplitude = scene.ground_waves[:, None].unbind(-1)
    turn = along_x * point[..., :1] + along_y * point[..., 1:2] + phase
    slope = amplitude * turn.cos()
    slope_x, slope_y = (slope * along_x).sum(-1), (slope * along_y).sum(-1)
    return torch.stack([-slope_x, -slope_y, torch.ones_like(slope_x)], -1)


def _texture_coordinates(
    local: Tensor, half: Tensor, axes: Tensor, normal: Tensor, slot: Tensor, face: Tensor
) -> tuple[Tensor, Tensor]:
    """Return texture coordinates in metres, and the world directions in which they grow.

    Flat shapes are painted along the two axes that face the normal best; round ones are wrapped.
    """
    facing = (axes * normal[..., None, :]).sum(-1).abs()
    facing = torch.where((slot == GROUND)[..., None], _unit_axis(torch.full_like(slot, 2)), facing)
    axis = facing.argmax(-1)
    first = torch.where(axis == 0, 1, 0)
    second = torch.where(axis == 2, 1, 2)
    pair = torch.stack([first, second], -1)
    flat = local.gather(-1, pair)
    flat_along = axes.gather(-2, pair[..., None].expand(*pair.shape, 3))

    radius = half[..., :2].mean(-1)
    lift = (local[..., 2] / half[..., 2]).clamp(-1, 1)
    is_ball = slot >= FIRST_BALL
    climb = torch.where(is_ball, lift.asin(), lift) * half[..., 2]
    around = torch.atan2(local[..., 1] / half[..., 1], local[..., 0] / half[..., 0]) * radius
    east = torch.nn.functional.normalize(torch.linalg.cross(axes[..., 2, :], normal), dim=-1)
    round_along = torch.stack([east, torch.linalg.cross(normal, east)], -2)

    wraps = ((slot >= FIRST_CYLINDER) & (slot < FIRST_BALL) & (face == 0)) | (
        is_ball & (slot < FIRST_POLYTOPE)
    )
    wraps = wraps[..., None]
    coordinates = torch.where(wraps, torch.stack([around, climb], -1), flat)
    return coordinates, torch.where(wraps[..., None], round_along, flat_along)
