"""Samples of procedural scenes: photographs with exact points and cameras, made on demand."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.data.procedural.captures import draw_captures
from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.dice import Dice
from fast3r.data.procedural.photography import apply_effects, develop, draw_effects
from fast3r.data.procedural.primitives import FAR, trace
from fast3r.data.procedural.random_scene import random_scene
from fast3r.data.procedural.render import pixel_centres, pixel_rays, render
from fast3r.data.procedural.scene import Scene, move
from fast3r.data.procedural.textures import load_bank
from fast3r.data.procedural.trajectories import Candidates, draw_candidates
from fast3r.data.sample import Sample

_PROBE_HEIGHT, _PROBE_WIDTH = 8, 10
# Fewer shapes in sight leave too little to tell where a photo was taken.
_MIN_SHAPES = 4
_OTHER_DICE = 0x5EED


@torch.no_grad()
def generate(
    config: ProceduralConfig,
    *,
    batch: int,
    views: int,
    height: int,
    width: int,
    seed: int,
    device: str | torch.device = "cpu",
    difficulty: float = 1.0,
) -> Sample:
    """Return photographs of `batch` random scenes, each from `views` places.

    Scenes are drawn on the CPU: the same seed gives the same ones on every device, up to rounding.
    World units are metres, z up. `difficulty` in [0, 1] scales how far apart the photos are taken.

    Raises:
        ValueError: If `difficulty` is out of range.

    """
    if not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty must be within [0, 1], got {difficulty}")
    device = str(device)
    dice = Dice(seed)
    scene, layout = random_scene(dice, config, load_bank("cpu"), batch)
    captures = draw_captures(Dice(seed ^ _OTHER_DICE), config, layout.kind, scene.has_room, views)
    scene = replace(
        scene,
        backdrop=captures.backdrop,
        covers_table=captures.covers_table,
        exposure=scene.exposure * captures.brightening,
    )
    candidates = draw_candidates(
        dice,
        config,
        scene,
        layout,
        captures,
        views=views,
        height=height,
        width=width,
        difficulty=difficulty,
    )
    effects = draw_effects(dice, batch, views).to(device)
    scene, candidates = move(scene, device), move(candidates, device)
    poses = choose_cameras(config, scene, candidates, height=height, width=width)
    linear, points, valid = render(
        config, scene, load_bank(device), candidates.intrinsics, poses, height=height, width=width
    )
    images = develop(linear, scene.exposure)
    if config.augment:
        images = apply_effects(images, effects, _noise(images, seed))
    return Sample(images, points, valid, candidates.intrinsics, poses)


def choose_cameras(
    config: ProceduralConfig,
    scene: Scene,
    candidates: Candidates,
    *,
    height: int,
    width: int,
) -> Float[Tensor, "batch views 4 4"]:
    """Return, for each view, the first candidate that is clear of objects and sees enough.

    Enough is `candidates.overlap` of the surface that the first view sees; where no candidate
    does, the one that sees most is taken, and where none is clear, one that another view has left
    over.
    """
    poses, intrinsics = candidates.world_from_camera, candidates.intrinsics
    batch, views, count = poses.shape[:3]
    clear, points, seen = _probe(config, scene, poses, intrinsics, height, width)
    rows = torch.arange(batch, device=poses.device)
    first = _first_best(clear.flatten(1).float())
    points, seen = points.flatten(1, 2)[rows, first], seen.flatten(1, 2)[rows, first]
    shared = _share_seen(scene, poses, intrinsics, points, seen, height, width)
    score = clear.float() * (1 + torch.minimum(shared, candidates.overlap[:, None, None]))
    chosen = _first_best(score) + count * torch.arange(views, device=poses.device)
    chosen[:, 0] = first
    chosen = _replace_blocked(score.flatten(1), chosen)
    return poses.flatten(1, 2)[rows[:, None], chosen]


def _first_best(score: Tensor) -> Tensor:
    """Return the index of the greatest score along the last axis; of equals, the first."""
    order = torch.arange(score.shape[-1], device=score.device)
    return (score - 1e-4 * order).argmax(-1)


def _replace_blocked(score: Tensor, chosen: Tensor) -> Tensor:
    """Return the choices with those of score 0 replaced by the best ones not chosen yet."""
    blocked = score.gather(1, chosen) == 0
    spare = score.scatter(1, chosen, -1.0).argsort(1, descending=True)
    spare = spare.gather(1, (blocked.long().cumsum(1) - 1).clamp(min=0))
    # A second photo from the first place is better than one from inside a wall.
    spare = torch.where(score.gather(1, spare) > 0, spare, chosen[:, :1])
    return torch.where(blocked, spare, chosen)


def _probe(
    config: ProceduralConfig,
    scene: Scene,
    poses: Tensor,
    intrinsics: Tensor,
    height: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return whether each candidate is clear of objects, and what a coarse image of it sees."""
    batch, views, count = poses.shape[:3]
    grid = pixel_centres(_PROBE_HEIGHT, _PROBE_WIDTH, per_side=1, device=str(poses.device))
    grid = grid * grid.new_tensor([width / _PROBE_WIDTH, height / _PROBE_HEIGHT])
    repeated = intrinsics.repeat_interleave(count, dim=1)
    origin, direction = pixel_rays(repeated, poses.flatten(1, 2), grid)
    depth, slot = trace(scene, origin.flatten(1, 2), direction.flatten(1, 2))
    depth = depth.reshape(batch, views, count, -1)
    ordered = slot.reshape(depth.shape).sort(-1).values
    points = origin.reshape(*depth.shape, 3) + depth[..., None] * direction.reshape(*depth.shape, 3)
    seen = depth < config.far_m
    room_to_stand = depth.amin(-1) > 2 * config.near_m
    not_at_wall = depth.median(-1).values > 0.4
    varied = (ordered.diff(dim=-1) != 0).sum(-1) >= _MIN_SHAPES - 1
    clear = room_to_stand & not_at_wall & varied & (seen.float().mean(-1) > 0.4)
    return clear, points, seen


def _share_seen(
    scene: Scene,
    poses: Tensor,
    intrinsics: Tensor,
    points: Tensor,
    seen: Tensor,
    height: int,
    width: int,
) -> Float[Tensor, "batch views candidates"]:
    """Return which share of the first view's points each candidate sees, unoccluded."""
    origin = poses[..., None, :3, 3]
    ray = points[:, None, None] - origin
    camera = (ray[..., None] * poses[..., None, :3, :3]).sum(-2)
    depth = camera[..., 2].clamp(min=1e-3)
    focal = torch.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], -1)
    pixel = camera[..., :2] / depth[..., None] * focal[:, :, None, None]
    pixel = pixel + intrinsics[:, :, None, None, :2, 2]
    limit = pixel.new_tensor([width, height])
    framed = ((pixel > 0) & (pixel < limit)).all(-1) & (camera[..., 2] > 0)
    start = origin.expand_as(ray).flatten(1, 3)
    reached = trace(scene, start, ray.flatten(1, 3))[0].reshape(framed.shape)
    visible = framed & (reached > 0.98) & (reached < FAR) & seen[:, None, None]
    return visible.float().sum(-1) / seen.float().sum(-1).clamp(min=1)[:, None, None]


def _noise(images: Tensor, seed: int) -> Tensor:
    generator = torch.Generator(images.device).manual_seed(seed)
    return torch.randn(images.shape, generator=generator, device=images.device)
