"""Random scenes: a layout, its materials and its light, as tensors ready to trace."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.dice import Dice
from fast3r.data.procedural.layout import (
    INDOOR,
    OUTDOOR,
    STYLES,
    TABLETOP,
    Layout,
    random_layout,
)
from fast3r.data.procedural.materials import random_materials
from fast3r.data.procedural.scene import NO_BACKDROP, NUM_POLYTOPES, NUM_ROCKS, ROOM, Scene
from fast3r.data.procedural.textures import TextureBank

_POLYTOPE_FACES = 10
_LUMPS = 4
_GROUND_WAVES = 3
_SUN_DISTANCE = 1e3
_TABLETOPS_IN_ROOMS = 0.55


def random_scene(
    dice: Dice, config: ProceduralConfig, bank: TextureBank, batch: int
) -> tuple[Scene, Layout]:
    """Return a batch of scenes, on the CPU, and where things were put."""
    shares = [config.indoor_share, config.outdoor_share]
    kind = dice.pick([*shares, max(0.0, 1 - sum(shares))], batch)
    tabletop_room = (kind == TABLETOP) & dice.chance(_TABLETOPS_IN_ROOMS, batch)
    has_room = (kind == INDOOR) | tabletop_room
    layout = random_layout(dice, kind, has_room)
    panorama = _panorama(dice, kind, bank, batch)
    ambient = _ambient(dice, bank, panorama, has_room)
    position, colour = _lights(dice, layout, has_room)
    scene = Scene(
        local_from_world=_affine(layout),
        centre=layout.centre,
        half_size=layout.half_size,
        planes=_polytopes(dice, batch),
        lumps=torch.cat(
            [
                3.2 * dice.normal(batch, NUM_ROCKS, _LUMPS, 3),
                dice.uniform(0, 6.3, batch, NUM_ROCKS, _LUMPS, 1),
            ],
            -1,
        ),
        lump_depth=dice.uniform(0.2, 0.6, batch, NUM_ROCKS),
        ground_waves=_ground_waves(dice, kind, batch),
        has_room=has_room,
        materials=random_materials(
            dice, layout, bank, gloss_share=config.gloss_share, bump_share=config.bump_share
        ),
        panorama=panorama,
        panorama_turn=dice.uniform(0, 2 * torch.pi, batch),
        backdrop=torch.full((batch, 3), NO_BACKDROP),
        covers_table=torch.zeros(batch, dtype=torch.bool),
        light_position=position,
        light_colour=colour,
        ambient=ambient,
        target=layout.target,
        exposure=dice.uniform(0.13, 0.26, batch),
    )
    return scene, layout


def _affine(layout: Layout) -> Float[Tensor, "batch slots 3 4"]:
    linear = layout.rotation.transpose(-1, -2) / layout.half_size[..., None]
    return torch.cat([linear, -(linear * layout.centre[..., None, :]).sum(-1, keepdim=True)], -1)


def _polytopes(dice: Dice, batch: int) -> Float[Tensor, "batch polytopes faces 3"]:
    """Return planes that touch balls of 0.55 to 1 about the middle: chipped stones, wedges."""
    normals = dice.direction(batch, NUM_POLYTOPES, _POLYTOPE_FACES - 4)
    # Four of the planes form a tetrahedron, which keeps every polytope bounded.
    corners = normalize(torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]), dim=-1)
    normals = torch.cat([corners.expand(batch, NUM_POLYTOPES, 4, 3), normals], -2)
    return normals / dice.uniform(0.5, 0.95, batch, NUM_POLYTOPES, _POLYTOPE_FACES, 1)


def _ground_waves(dice: Dice, kind: Tensor, batch: int) -> Float[Tensor, "batch waves 4"]:
    relief = torch.tensor([style.relief for style in STYLES])[kind][:, None]
    relief = relief * dice.uniform(0, 1, batch, 1) * dice.chance(0.7, batch, 1)
    heading = dice.uniform(0, 2 * torch.pi, batch, _GROUND_WAVES)
    length = dice.log_uniform(12, 50, batch, _GROUND_WAVES) * relief.clamp(min=0.05) ** 0.5
    number = 2 * torch.pi / length
    amplitude = relief * dice.uniform(0.3, 1, batch, _GROUND_WAVES)
    phase = dice.uniform(0, 2 * torch.pi, batch, _GROUND_WAVES)
    return torch.stack([number * heading.cos(), number * heading.sin(), phase, amplitude], -1)


def _panorama(dice: Dice, kind: Tensor, bank: TextureBank, batch: int) -> Tensor:
    any_place = dice.below(len(bank.panorama_tones), batch)
    open_air = bank.open_air[dice.below(len(bank.open_air), batch)]
    return torch.where(kind == OUTDOOR, open_air, any_place)


def _ambient(dice: Dice, bank: TextureBank, panorama: Tensor, has_room: Tensor) -> Tensor:
    """Return the light from above and below: the surroundings' tone, or a room's own."""
    tones = bank.panorama_tones[panorama]
    tones = 0.5 * tones / tones.mean(-1, keepdim=True).clamp(min=0.05)
    room = 1 + 0.08 * dice.normal(len(panorama), 2, 3)
    brightness = torch.tensor([0.65, 0.42])[None, :, None] * dice.uniform(
        0.7, 1.3, len(panorama), 2, 1
    )
    return torch.where(has_room[:, None, None], room, 0.4 + tones).clamp(min=0.1) * brightness


def _lights(dice: Dice, layout: Layout, has_room: Tensor) -> tuple[Tensor, Tensor]:
    """Return where two lights are and their colours: lamps in rooms, else a sun and a soft fill."""
    batch = len(has_room)
    height = 2 * layout.half_size[:, ROOM, 2]
    reach = dice.uniform(-0.7, 0.7, batch, 2, 2) * layout.area[:, None]
    lamp = torch.cat([reach, (height - 0.25)[:, None, None].expand(batch, 2, 1)], -1)
    heading = dice.direction(batch, 2)
    climb = heading[..., 2:].abs() + 0.35
    sun = normalize(torch.cat([heading[..., :2], climb], -1), dim=-1) * _SUN_DISTANCE
    position = torch.where(has_room[:, None, None], lamp, sun)
    power = torch.stack([dice.uniform(0.4, 2.0, batch), dice.uniform(0.0, 0.5, batch)], -1)
    warmth = dice.normal(batch, 2, 1) * torch.tensor([0.12, 0.0, -0.15])
    return position, power[..., None] * (1 + warmth).clamp(0.5, 1.5)
