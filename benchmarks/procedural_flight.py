"""A flight to and fro before a procedural scene: frames with their truth."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.dice import Dice
from fast3r.data.procedural.photography import develop
from fast3r.data.procedural.random_scene import random_scene
from fast3r.data.procedural.render import render
from fast3r.data.procedural.scene import Scene
from fast3r.data.procedural.textures import load_bank
from fast3r.data.procedural.trajectories import look_at
from fast3r.views.view import View

FOV_DEG = 65.0
_AT_ONCE = 8
# Nearer to a surface than this, in metres, the camera would fly through it.
_CLEARANCE_M = 0.2


@dataclass(frozen=True)
class Flight:
    """Frames of one scene."""

    views: list[View]
    """In the order of the flight."""

    world_from_camera: Float[Tensor, "views 4 4"]
    """In metres, z up."""

    focal_px: float
    """Of all frames."""


def fly(
    seed: int, count: int, *, sweep_deg: float = 60.0, height: int = 96, width: int = 128
) -> Flight:
    """Return a flight that sweeps round the middle of a random scene and back, looking there.

    It rises, sinks, nears and withdraws on the way, and comes back on another way.
    """
    scene, layout = random_scene(Dice(seed), _config(), load_bank("cpu"), 1)
    target, spread = layout.target[0], layout.target_spread[0]
    focal_px = max(height, width) / 2 / math.tan(math.radians(FOV_DEG) / 2)
    for reach in (2.5, 2.0, 1.6, 1.3, 1.0, 0.8, 3.5, 5.0, 7.0):
        poses = _sweep(target, reach, spread, count, sweep_deg)
        frames = _frames(scene, poses, focal_px, height // 8, width // 8)
        if min(depth.amin().item() for _, depth in frames) > _CLEARANCE_M:
            break
    else:
        raise ValueError(f"scene {seed} has no room for a flight; use another seed")
    pictures = [image for image, _ in _frames(scene, poses, focal_px, height, width)]
    views = [_view(image, index) for index, image in enumerate(torch.cat(pictures))]
    return Flight(views, poses, focal_px)


def _config() -> ProceduralConfig:
    return ProceduralConfig(indoor_share=0.6, outdoor_share=0.2, augment=False)


def _sweep(
    target: Tensor, reach: float, spread: Tensor, count: int, sweep_deg: float
) -> Float[Tensor, "views 4 4"]:
    phase = torch.arange(count) / count * 2 * math.pi
    angle = -math.radians(sweep_deg) / 2 * phase.cos()
    elevation = math.radians(22) + math.radians(6) * phase.sin()
    distance = reach * (1 + 0.15 * torch.sin(2 * phase))
    flat = distance * elevation.cos()
    offset = torch.stack((flat * angle.cos(), flat * angle.sin(), distance * elevation.sin()), -1)
    wander = 0.2 * spread * torch.stack((phase.sin(), phase.cos(), 0 * phase), -1)
    return look_at(target + offset, target + wander, 0.05 * torch.sin(3 * phase))


def _frames(
    scene: Scene, poses: Tensor, focal_px: float, height: int, width: int
) -> list[tuple[Tensor, Tensor]]:
    """Return images and depth, some frames at a time."""
    scale = focal_px * width / 128 if width < 128 else focal_px
    intrinsics = torch.tensor([[scale, 0, width / 2], [0, scale, height / 2], [0, 0, 1]])
    made = []
    exposure = None
    for some in poses.split(_AT_ONCE):
        every = intrinsics.expand(1, len(some), 3, 3)
        size = {"height": height, "width": width}
        linear, points, _ = render(_config(), scene, load_bank("cpu"), every, some[None], **size)
        if exposure is None:  # as a video camera does not change it from frame to frame
            exposure = scene.exposure / linear.clamp(max=2).mean().clamp(min=1e-4)
        brightness = linear.clamp(max=2).mean().clamp(min=1e-4)
        images = develop(linear, exposure * brightness)
        depth = ((points[0] - some[:, None, None, :3, 3]) * some[:, None, None, :3, 2]).sum(-1)
        made.append((images[0], depth.where(depth > 0, torch.inf)))
    return made


def _view(image: Tensor, index: int) -> View:
    pixels = (image.permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8)
    return View(
        pixels=pixels,
        original_from_network=torch.eye(3),
        name=f"frame_{index:05d}.png",
        original_height=pixels.shape[0],
        original_width=pixels.shape[1],
        camera_key="flight",
    )
