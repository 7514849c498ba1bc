"""Photographs of a batch of scenes: a ray per pixel, traced and shaded in chunks."""

from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.layout import TABLE
from fast3r.data.procedural.lighting import shade, sky
from fast3r.data.procedural.primitives import FAR, trace
from fast3r.data.procedural.scene import ROOM, Scene, select
from fast3r.data.procedural.surfaces import surface_at
from fast3r.data.procedural.textures import TextureBank

# A chunk's intermediates fit the cache of a CPU core, or fill a GPU.
_RAYS_PER_CHUNK = {"cpu": 12288, "cuda": 1 << 21}
_COMPILED_RAYS = {"cpu": 4096, "cuda": 1 << 16}


def pixel_rays(
    intrinsics: Float[Tensor, "batch views 3 3"],
    world_from_camera: Float[Tensor, "batch views 4 4"],
    pixels: Float[Tensor, "pixels 2"],
) -> tuple[Float[Tensor, "batch views pixels 3"], Float[Tensor, "batch views pixels 3"]]:
    """Return origins and directions of rays in the world; directions have depth 1."""
    focal = torch.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], -1)
    centre = intrinsics[..., :2, 2]
    slope = (pixels - centre[..., None, :]) / focal[..., None, :]
    right, down, forward, origin = world_from_camera[..., None, :3, :].unbind(-1)
    direction = slope[..., :1] * right + slope[..., 1:] * down + forward
    return origin.expand_as(direction), direction


def pixel_centres(
    height: int, width: int, *, per_side: int, device: str
) -> Float[Tensor, "pixels 2"]:
    """Return pixel positions (x, y) in rows; with `per_side` > 1 of a grid that much finer."""
    y = (torch.arange(height * per_side, device=device) + 0.5) / per_side
    x = (torch.arange(width * per_side, device=device) + 0.5) / per_side
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)


def render(
    config: ProceduralConfig,
    scene: Scene,
    bank: TextureBank,
    intrinsics: Float[Tensor, "batch views 3 3"],
    world_from_camera: Float[Tensor, "batch views 4 4"],
    *,
    height: int,
    width: int,
) -> tuple[
    Float[Tensor, "batch views 3 height width"],
    Float[Tensor, "batch views height width 3"],
    Bool[Tensor, "batch views height width"],
]:
    """Return linear colours, world points and which of them are on a surface in range."""
    batch, views = intrinsics.shape[:2]
    device = str(intrinsics.device)
    size = (batch, views, height, width)
    centres = pixel_centres(height, width, per_side=1, device=device)
    per_side = config.supersample
    spread = 1 / (intrinsics[..., 0, 0] * per_side)

    def photograph(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        origin, direction = pixel_rays(intrinsics, world_from_camera, pixels)
        angle = spread[..., None].expand(origin.shape[:-1])
        rays = [part.flatten(1, 2).contiguous() for part in (origin, direction, angle)]
        return _in_chunks(config, scene, bank, rays)

    colour, point, depth = photograph(centres)
    if per_side > 1:
        fine = photograph(pixel_centres(height, width, per_side=per_side, device=device))[0]
        fine = fine.reshape(batch, views, height, per_side, width, per_side, 3)
        colour = fine.mean((3, 5))
    depth = depth.reshape(size)
    valid = (depth > config.near_m) & (depth < config.far_m)
    return colour.reshape(*size, 3).permute(0, 1, 4, 2, 3), point.reshape(*size, 3), valid


def render_rays(
    scene: Scene,
    bank: TextureBank,
    origin: Float[Tensor, "batch rays 3"],
    direction: Float[Tensor, "batch rays 3"],
    angle: Float[Tensor, "batch rays"],
    *,
    shadows: bool,
) -> tuple[
    Float[Tensor, "batch rays 3"], Float[Tensor, "batch rays 3"], Float[Tensor, "batch rays"]
]:
    """Return linear colour, world point and depth of each ray; `angle` is the width of a pixel.

    Has no control flow that depends on values, so that torch.compile can fuse it.
    """
    depth, slot = trace(scene, origin, direction)
    hit = (depth < FAR) & ~_on_backdrop(scene, slot)
    # Points of the sky must be finite: they are multiplied by zero later, not left out.
    depth = torch.where(hit, depth, 0.0)
    point = origin + depth[..., None] * direction
    unit = torch.nn.functional.normalize(direction, dim=-1)
    surface = surface_at(scene, point, slot)
    footprint = (depth * angle).clamp(min=1e-5)
    shaded = shade(scene, bank, surface, slot, -unit, footprint, shadows=shadows)
    return torch.where(hit[..., None], shaded, sky(scene, bank, unit)), point, depth


def _on_backdrop(scene: Scene, slot: Int[Tensor, "batch rays"]) -> Bool[Tensor, "batch rays"]:
    covered = (slot >= ROOM) | ((slot == TABLE) & scene.covers_table[:, None])
    return covered & (scene.backdrop[:, :1] >= 0)


def _in_chunks(
    config: ProceduralConfig, scene: Scene, bank: TextureBank, rays: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    if config.compiled:
        return _scene_by_scene(config, scene, bank, rays)
    batch, count = rays[0].shape[:2]
    limit = config.rays_per_chunk or _RAYS_PER_CHUNK.get(rays[0].device.type, 1 << 18)
    size = _chunk_size(count, max(1, limit // batch))
    chunks = zip(*(part.split(size, 1) for part in rays), strict=True)
    results = [render_rays(scene, bank, *chunk, shadows=config.shadows) for chunk in chunks]
    colour, point, depth = (torch.cat(part, 1) for part in zip(*results, strict=True))
    return colour, point, depth


@lru_cache(maxsize=1)
def _compiled_render_rays():
    return torch.compile(render_rays, dynamic=False)


def _scene_by_scene(
    config: ProceduralConfig, scene: Scene, bank: TextureBank, rays: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Trace one scene at a time, in chunks of one size, so that a process compiles only once."""
    batch, count = rays[0].shape[:2]
    size = config.rays_per_chunk or _COMPILED_RAYS.get(rays[0].device.type, 1 << 16)
    starts = [min(start, max(0, count - size)) for start in range(0, count, size)]
    colour, point = (torch.empty_like(rays[0]) for _ in range(2))
    depth = torch.empty_like(rays[2])
    for b in range(batch):
        one = select(scene, slice(b, b + 1))
        for start in starts:  # the last chunk overlaps the one before it
            at = (slice(b, b + 1), torch.arange(start, start + size, device=depth.device) % count)
            chunk = [part[at].contiguous() for part in rays]
            made = _compiled_render_rays()(one, bank, *chunk, shadows=config.shadows)
            colour[at], point[at], depth[at] = made
    return colour, point, depth


def _chunk_size(count: int, limit: int) -> int:
    """Return the largest divisor of `count` in the upper half below `limit`, else `limit`."""
    for size in range(min(count, limit), limit // 2, -1):
        if count % size == 0:
            return size
    return min(count, limit)
