"""Random materials: which tile is painted on each face, how large, how bright, how glossy.

A material is a row of numbers (`scene.MATERIAL_SIZE`): tile, second tile, tiles per metre of
each, cosine and sine of the rotation, offset (2), gain (3) and offset (3) of the colour, strength
of the second tile and one over its mean brightness, gloss, relief.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fast3r.data.procedural.dice import Dice
from fast3r.data.procedural.layout import NUM_PANELS, Layout
from fast3r.data.procedural.scene import FACES, GROUND, NUM_SLOTS, ROOM
from fast3r.data.procedural.textures import TextureBank

# Largest tile on walls and ground in metres, by kind of scene: indoor, outdoor, tabletop.
_BROAD_TILE = (3.0, 7.0, 1.6)


def random_materials(
    dice: Dice, layout: Layout, bank: TextureBank, *, gloss_share: float, bump_share: float
) -> Float[Tensor, "batch materials material_size"]:
    """Return the materials of all faces of all slots; neighbouring faces mostly differ."""
    shape = (len(layout.kind), NUM_SLOTS, FACES)
    tile = _tiles(dice, bank, shape)
    second = dice.below(bank.num_materials, *shape)
    size = _tile_sizes(dice, layout, shape)
    turn = dice.below(4, *shape) * (torch.pi / 2) + 0.05 * dice.normal(*shape)
    upright = torch.arange(NUM_SLOTS)[:, None] < NUM_PANELS
    turn = torch.where(upright, 0.0, turn)
    offset = torch.where(upright[..., None], 0.5, dice.uniform(0, 2, *shape, 2))
    gain, shift = _colours(dice, bank, tile, shape)
    strength = dice.uniform(0.1, 0.7, *shape)
    second_mean = bank.means[second].mean(-1).clamp(min=0.05)
    gloss = torch.where(dice.chance(gloss_share, *shape), dice.uniform(0.05, 0.4, *shape), 0.0)
    relief = torch.where(dice.chance(bump_share, *shape), dice.uniform(0.01, 0.05, *shape), 0.0)
    columns = [
        tile,
        second,
        1 / size,
        1 / (size * dice.uniform(3, 9, *shape)),
        turn.cos(),
        turn.sin(),
    ]
    columns = [column.float()[..., None] for column in columns] + [offset, gain, shift]
    columns += [column[..., None] for column in (strength, 1 / second_mean, gloss, relief)]
    return torch.cat(columns, -1).flatten(1, 2)


def _tiles(dice: Dice, bank: TextureBank, shape: tuple[int, int, int]) -> Int[Tensor, "..."]:
    photo = dice.below(bank.num_materials, *shape)
    drawn = bank.num_materials + dice.below(bank.first_picture - bank.num_materials, *shape)
    picture = bank.first_picture + dice.below(bank.num_tiles - bank.first_picture, *shape)
    panel = torch.arange(NUM_SLOTS)[:, None] < NUM_PANELS
    kind = torch.where(panel, dice.pick([2, 2, 4], *shape), dice.pick([8, 1.6, 0.4], *shape))
    tile = torch.where(kind == 0, photo, torch.where(kind == 1, drawn, picture))
    alike = dice.chance(0.35, *shape[:2], 1) & (torch.arange(NUM_SLOTS)[:, None] < ROOM)
    return torch.where(alike, tile[..., :1], tile)


def _tile_sizes(dice: Dice, layout: Layout, shape: tuple[int, int, int]) -> Tensor:
    """Return the side of a tile in metres, about as large as the face that it is painted on."""
    extent = layout.half_size.mean(-1, keepdim=True)
    size = extent * dice.log_uniform(0.7, 3.5, *shape)
    slot = torch.arange(NUM_SLOTS)[:, None]
    size = torch.where(slot < NUM_PANELS, 2.05 * layout.half_size.amax(-1, keepdim=True), size)
    largest = torch.tensor(_BROAD_TILE)[layout.kind][:, None, None]
    broad = largest * dice.log_uniform(0.2, 1, *shape)
    size = torch.where((slot == ROOM) | (slot == GROUND), broad, size)
    return size.clamp(0.06, 8)


def _colours(
    dice: Dice, bank: TextureBank, tile: Tensor, shape: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Return gain and offset that give each tile a visible contrast and a sensible brightness."""
    mean, std = bank.means[tile], bank.stds[tile]
    contrast = (dice.uniform(0.06, 0.17, *shape) / std.clamp(min=0.005)).clamp(0.7, 2.6)
    contrast = torch.where(tile >= bank.num_materials, 1.0, contrast)
    brightness = mean.mean(-1)
    wanted = torch.lerp(brightness, dice.uniform(0.3, 0.8, *shape), 0.6)
    tint = (1 + 0.1 * dice.normal(*shape, 3)) * (wanted / brightness.clamp(min=0.05))[..., None]
    tint = tint.clamp(0.4, 3)
    gain = contrast[..., None] * tint.clamp(max=1.3)
    return gain, mean * tint - gain * mean
