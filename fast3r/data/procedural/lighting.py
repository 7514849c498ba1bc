"""The colour of each hit: texture, bumps, lamps, shadow and surroundings."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from fast3r.data.procedural.primitives import shadowed
from fast3r.data.procedural.scene import NUM_OBJECTS, ROOM, Scene
from fast3r.data.procedural.surfaces import Surface
from fast3r.data.procedural.textures import TILE_PX, TextureBank, sample_panoramas, sample_tiles

GLOSS_EXPONENT = 40
_BLOCKED_AMBIENT = 0.8


def shade(
    scene: Scene,
    bank: TextureBank,
    surface: Surface,
    slot: Int[Tensor, "batch rays"],
    to_eye: Float[Tensor, "batch rays 3"],
    footprint: Float[Tensor, "batch rays"],
    *,
    shadows: bool,
) -> Float[Tensor, "batch rays 3"]:
    """Return linear colours as seen along unit vectors `to_eye`.

    `footprint` is the width of a pixel at the distance of the surface, in metres.
    """
    facing = (surface.normal * to_eye).sum(-1).abs().clamp(min=0.05)
    # Between the short (1) and the long side (1 / facing) of the footprint on the surface.
    albedo, normal = _paint(bank, surface, footprint / facing.sqrt())
    upward = 0.5 + 0.5 * normal[..., 2:]
    below, above = scene.ambient[:, None, 1], scene.ambient[:, None, 0]
    openness = _openness(scene, surface, slot)[..., None]
    light = torch.lerp(below, above, upward) * openness
    shine = torch.zeros_like(light)
    for index in range(scene.light_position.shape[1]):
        to_light = scene.light_position[:, index, None] - surface.point
        arriving = _arriving(scene, index, to_light)
        if index == 0 and shadows:
            arriving = arriving * ~shadowed(scene, surface.point, to_light, slot)[..., None]
        unit = normalize(to_light, dim=-1)
        light = light + arriving * (normal * unit).sum(-1, keepdim=True).clamp(min=0)
        halfway = (normal * normalize(unit + to_eye, dim=-1)).sum(-1, keepdim=True)
        shine = shine + arriving * halfway.clamp(min=0) ** GLOSS_EXPONENT
    return albedo * light + surface.material[..., 16:17] * shine


def sky(
    scene: Scene, bank: TextureBank, direction: Float[Tensor, "batch rays 3"]
) -> Float[Tensor, "batch rays 3"]:
    """Return linear colours of the surroundings in unit directions."""
    azimuth = torch.atan2(direction[..., 1], direction[..., 0]) + scene.panorama_turn[:, None]
    elevation = direction[..., 2].clamp(-1, 1).asin()
    panorama = scene.panorama[:, None].expand_as(azimuth).flatten()
    colours = sample_panoramas(bank, panorama, azimuth.flatten(), elevation.flatten())
    colours = colours.reshape(direction.shape) ** 2 * 1.3
    backdrop = scene.backdrop[:, None]
    return torch.where(backdrop >= 0, backdrop, colours)


def _paint(bank: TextureBank, surface: Surface, footprint: Tensor) -> tuple[Tensor, Tensor]:
    """Return linear albedo and the normal bent by the texture's relief."""
    material = surface.material
    cos, sin = material[..., 4:5], material[..., 5:6]
    u, v = surface.coordinates.split(1, dim=-1)
    turned = torch.cat([cos * u + sin * v, sin * u - cos * v], -1)

    colour, slope = _look(bank, material, turned, footprint, 0)
    stain, _ = _look(bank, material, turned, footprint, 1)
    shown = material[..., 8:11] * colour + material[..., 11:14]
    stain = 1 + material[..., 14:15] * (stain.mean(-1, keepdim=True) * material[..., 15:16] - 1)
    albedo = (shown * stain).clamp(0.03, 0.97) ** 2

    slope = slope * material[..., 17:18]
    slope_u = cos * slope[..., :1] + sin * slope[..., 1:]
    slope_v = sin * slope[..., :1] - cos * slope[..., 1:]
    bend = slope_u * surface.along[..., 0, :] + slope_v * surface.along[..., 1, :]
    return albedo, normalize(surface.normal - bend, dim=-1)


def _look(
    bank: TextureBank, material: Tensor, turned: Tensor, footprint: Tensor, column: int
) -> tuple[Tensor, Tensor]:
    """Return the colour of the first or second tile of a material, and its slope per tile."""
    tile = material[..., column].flatten().long()
    scale = material[..., column + 2 : column + 3]
    place = turned * scale + material[..., 6:8]
    level = torch.log2(footprint * scale[..., 0] * TILE_PX).flatten()
    colour, slope = sample_tiles(bank, tile, place.flatten(0, -2), level)
    return colour.reshape(*turned.shape[:-1], 3), slope.reshape(place.shape)


def _arriving(scene: Scene, index: int, to_light: Tensor) -> Tensor:
    """Return the light that reaches a point; equal to `light_colour` at the scene's target."""
    usual = (scene.light_position[:, index] - scene.target).norm(dim=-1)[:, None]
    ratio = to_light.norm(dim=-1) / usual
    return scene.light_colour[:, None, index] / (0.3 + 0.7 * ratio**2)[..., None]


def _openness(scene: Scene, surface: Surface, slot: Tensor) -> Tensor:
    """Return the share of ambient light that objects and walls close by let through.

    Objects count as balls of equal volume, whose form factor is cos / distance^2.
    """
    centre, half = scene.centre[:, :NUM_OBJECTS], scene.half_size[:, :NUM_OBJECTS]
    squared_size = (half.prod(-1) ** (2 / 3))[..., None]
    place = surface.point[:, None].unbind(-1)
    toward = [c[..., None] - p for c, p in zip(centre.unbind(-1), place, strict=True)]
    x, y, z = toward
    a, b, c = surface.normal[:, None].unbind(-1)
    inverse = (x * x + y * y + z * z + 1e-6).rsqrt()
    cosine = ((a * x + b * y + c * z) * inverse).clamp(min=0)
    others = torch.arange(NUM_OBJECTS, device=slot.device)[:, None] != slot[:, None]
    blocked = cosine * (squared_size * inverse * inverse).clamp(max=1) * others
    objects = 1 - _BLOCKED_AMBIENT * blocked.amax(1)
    to_wall = scene.half_size[:, None, ROOM] - (surface.point - scene.centre[:, None, ROOM]).abs()
    corner = 1 - 0.35 * torch.exp(-to_wall.clamp(min=0) / 0.35) * (to_wall > 1e-3)
    walls = torch.where(scene.has_room[:, None], corner.prod(-1), 1.0)
    return objects * walls
