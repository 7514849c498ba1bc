"""Where the photographer stands: arcs and orbits around the target, roaming, a video, a walk.

Several candidates are drawn for every view; `generate` keeps the first that sees the scene well.
Camera frames follow OpenCV: x right, y down, z forward.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from fast3r.data.procedural.captures import Captures
from fast3r.data.procedural.config import ProceduralConfig
from fast3r.data.procedural.dice import Dice
from fast3r.data.procedural.layout import Layout
from fast3r.data.procedural.primitives import ground_height
from fast3r.data.procedural.scene import ROOM, Scene

ARC, ROAM, VIDEO, WALK, ORBIT = 0, 1, 2, 3, 4
# How often each trajectory is used, by kind of scene: indoor, outdoor, tabletop.
_HABITS = ((2, 5, 2, 1.5, 2), (4, 3, 2.5, 1.5, 4), (7, 2, 1, 0, 8))
# Metres from the target, by kind of scene.
_DISTANCES = ((1.2, 3.5), (4.0, 14.0), (0.45, 1.3))
# Metres above the target, of a drone.
_FLIGHT_HEIGHTS = (14.0, 32.0)
# Degrees above the horizon, by kind of scene.
_ELEVATIONS = ((0.0, 35.0), (2.0, 40.0), (10.0, 65.0))


@dataclass(frozen=True)
class Candidates:
    """Cameras to choose from."""

    world_from_camera: Float[Tensor, "batch views candidates 4 4"]
    """Rigid poses."""

    intrinsics: Float[Tensor, "batch views 3 3"]
    """Pixels from camera-frame rays; pixel centres at +0.5."""

    overlap: Float[Tensor, " batch"]
    """Share of the first view's surface to be seen, if possible; 0 on the way round an object."""


def draw_candidates(
    dice: Dice,
    config: ProceduralConfig,
    scene: Scene,
    layout: Layout,
    captures: Captures,
    *,
    views: int,
    height: int,
    width: int,
    difficulty: float,
) -> Candidates:
    """Return cameras in random order, the first candidates nearest to the plan.

    At `difficulty` 0 all views are within about 10 degrees of each other; at 1 within 120, or all
    the way round the target with at most `orbit_gap_deg` from one to the next.
    """
    batch = len(layout.kind)
    shape = (batch, views, config.candidates)
    position, orbits = _positions(dice, config, layout, shape, difficulty)
    away = position - layout.target[:, None, None]
    position = _keep_inside(position + (captures.retreat[..., None, None] - 1) * away, scene)
    spread = layout.target_spread[:, None, None, None] * (0.3 + 0.7 * difficulty)
    aim = layout.target[:, None, None] + spread * (
        0.7 * dice.normal(batch, views, 1, 3) + 0.4 * dice.normal(*shape, 3)
    ) * torch.tensor([1, 1, 0.5])
    steady = dice.chance(0.7, batch, 1, 1)
    roll = dice.normal(*shape) * torch.deg2rad(torch.where(steady, 2.5, 7.0))
    roll = roll.clamp(-0.35, 0.35) + captures.turn[:, None, None]
    if captures.from_air.any():
        above, below = _from_air(dice, layout, shape, difficulty)
        flown = captures.from_air[:, None, None, None]
        position, aim = torch.where(flown, above, position), torch.where(flown, below, aim)
    poses = look_at(position, aim, roll)
    intrinsics = _intrinsics(dice, config, batch, views, height, width)
    intrinsics[..., [0, 1], [0, 1]] *= captures.zoom[..., None]
    wanted = config.min_overlap + (0.9 - config.min_overlap) * (1 - difficulty)
    return Candidates(poses, intrinsics, torch.where(orbits & ~captures.from_air, 0.0, wanted))


def look_at(
    position: Float[Tensor, "... 3"], aim: Float[Tensor, "... 3"], roll: Float[Tensor, "..."]
) -> Float[Tensor, "... 4 4"]:
    """Return world_from_camera of cameras that look at a point, turned by `roll` radians."""
    forward = normalize(aim - position, dim=-1)
    up = torch.zeros_like(forward)
    up[..., 2] = 1
    right = normalize(torch.linalg.cross(forward, up), dim=-1)
    down = torch.linalg.cross(forward, right)
    cos, sin = roll.cos()[..., None], roll.sin()[..., None]
    axes = torch.stack([cos * right + sin * down, cos * down - sin * right, forward], -1)
    pose = torch.zeros(*position.shape[:-1], 4, 4)
    pose[..., :3, :3], pose[..., :3, 3], pose[..., 3, 3] = axes, position, 1
    return pose


def _positions(
    dice: Dice,
    config: ProceduralConfig,
    layout: Layout,
    shape: tuple[int, int, int],
    difficulty: float,
) -> tuple[Float[Tensor, "batch views candidates 3"], Bool[Tensor, " batch"]]:
    """Return places, and which scenes are photographed from all sides."""
    batch, views, _ = shape
    habits = torch.tensor(_HABITS)[layout.kind].cumsum(-1)
    plan = (dice.uniform(0, 1, batch, 1) * habits[:, -1:] >= habits).sum(-1).clamp(max=ORBIT)
    # Even at difficulty 1 some scenes have short baselines, as albums do.
    strength = difficulty * dice.uniform(0.35, 1, batch, 1, 1)
    low, high = torch.tensor(_DISTANCES)[layout.kind].unbind(-1)
    distance = (low * (high / low) ** dice.uniform(0, 1, batch))[:, None, None]
    azimuth = dice.uniform(0, 2 * torch.pi, batch, 1, 1)
    bottom, top = torch.tensor(_ELEVATIONS)[layout.kind].unbind(-1)
    elevation = torch.deg2rad(bottom + (top - bottom) * dice.uniform(0, 1, batch))[:, None, None]
    progress = dice.shuffled(batch, shape[1])[..., None] / max(shape[1] - 1, 1) - 0.5
    retry = torch.linspace(0, 1, shape[2])

    middle = (azimuth, elevation, distance)
    arc_deg = (10 + 120 * strength) * (1 - 0.8 * retry)
    arc = _arc(
        dice, shape, middle, strength, arc_deg * (progress + _jitter(dice, shape, 0.3)), retry
    )
    gaps = max(views - 1, 1)
    longest_deg = min(config.orbit_gap_deg * gaps, 360 * gaps / views)
    orbit_deg = longest_deg * difficulty * dice.uniform(0.6, 1, batch, 1, 1)
    turn_deg = orbit_deg * (progress + _jitter(dice, shape, 0.4 / gaps))
    orbit = _arc(dice, shape, middle, 0.5 * strength, turn_deg, retry)
    start = _spherical(azimuth, elevation, distance)
    reach = distance[..., None] * (0.15 + 1.0 * strength[..., None])
    roam = start + reach * 0.55 * dice.normal(*shape, 3) * torch.tensor([1, 1, 0.35])
    heading = dice.direction(batch, 1, 1) * torch.tensor([1, 1, 0.25])
    video = start + reach * 1.3 * heading * progress[..., None]
    steps = dice.normal(batch, shape[1], 1, 3) * torch.tensor([1, 1, 0.3])
    order = (progress[..., 0] + 0.5).mul(max(shape[1] - 1, 1)).round().long()
    path = steps.cumsum(1).gather(1, order[..., None, None].expand(batch, shape[1], 1, 3))
    walk = start + reach * 0.35 * (path - path.mean(1, keepdim=True))
    shaken = 0.4 * reach * retry[:, None] * dice.normal(*shape, 3)
    plans = torch.stack([arc, roam, video + shaken, walk + shaken, orbit])
    orbits = plan == ORBIT
    # The last candidates of other plans are arcs, from other sides: some place is always free.
    fallback = (retry > 0.5) & ~orbits[:, None, None]
    plan = torch.where(fallback, ARC, plan[:, None, None]).expand(shape)
    picked = plan[None, ..., None].expand(1, *shape, 3)
    return layout.target[:, None, None] + plans.gather(0, picked)[0], orbits


def _from_air(
    dice: Dice, layout: Layout, shape: tuple[int, int, int], difficulty: float
) -> tuple[Float[Tensor, "batch views candidates 3"], Float[Tensor, "batch views candidates 3"]]:
    """Return places above the target, and where to look from there: down, and a little ahead."""
    batch = shape[0]
    height = dice.log_uniform(*_FLIGHT_HEIGHTS, batch, 1, 1, 1)
    reach = height * (0.15 + 0.6 * difficulty * dice.uniform(0.35, 1, batch, 1, 1, 1))
    place = torch.cat([reach * dice.uniform(-1, 1, *shape, 2), height.expand(*shape, 1)], -1)
    place[..., 2:] *= (0.05 * dice.normal(*shape, 1)).exp()
    heading = dice.uniform(0, 2 * torch.pi, batch, 1, 1) + 0.1 * dice.normal(*shape)
    # On the way back along the next lane, what was above is below.
    returns = dice.chance(0.4, batch, 1, 1) & dice.chance(0.5, *shape[:2], 1)
    heading = heading + torch.where(returns, torch.pi, 0.0)
    tilt = dice.log_uniform(0.03, 0.6, batch, 1, 1, 1) + 0.02 * dice.uniform(0, 1, *shape, 1)
    ahead = torch.stack([heading.cos(), heading.sin(), torch.zeros_like(heading)], -1)
    position = layout.target[:, None, None] + place
    return position, position + tilt * ahead - torch.tensor([0.0, 0.0, 1.0])


def _jitter(dice: Dice, shape: tuple[int, int, int], size: float) -> Tensor:
    return size * dice.uniform(-1, 1, *shape)


def _arc(
    dice: Dice,
    shape: tuple[int, int, int],
    middle: tuple[Tensor, Tensor, Tensor],
    strength: Tensor,
    turn_deg: Tensor,
    retry: Tensor,
) -> Tensor:
    """Return places around the target, whose retries go up and elsewhere."""
    azimuth, elevation, distance = middle
    strayed = 1.2 * (retry - 0.5).clamp(min=0) * dice.normal(shape[0], 1, shape[2])
    azimuth = azimuth + strayed + torch.deg2rad(turn_deg)
    lift = torch.deg2rad(3 + 12 * strength) * dice.normal(*shape)
    lift = lift + 0.5 * retry
    distance = distance * ((0.12 * (0.3 + strength) + 0.2 * retry) * dice.normal(*shape)).exp()
    return _spherical(azimuth, (elevation + lift).clamp(-0.1, 1.25), distance)


def _spherical(azimuth: Tensor, elevation: Tensor, distance: Tensor) -> Tensor:
    flat = elevation.cos()
    unit = torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], -1)
    return distance[..., None] * unit


def _keep_inside(position: Tensor, scene: Scene) -> Tensor:
    """Return positions pushed back into the room, or up above the ground."""
    half = scene.half_size[:, ROOM, None, None] - 0.25
    centre = scene.centre[:, ROOM, None, None]
    boxed = torch.maximum(torch.minimum(position, centre + half), centre - half)
    x, y, z = position.unbind(-1)
    floor = ground_height(scene.ground_waves, x, y) + 0.3
    lifted = torch.stack([x, y, torch.maximum(z, floor)], -1)
    return torch.where(scene.has_room[:, None, None, None], boxed, lifted)


def _intrinsics(
    dice: Dice, config: ProceduralConfig, batch: int, views: int, height: int, width: int
) -> Float[Tensor, "batch views 3 3"]:
    """Return one camera for all photos of a scene, or sometimes one zoom per photo."""
    low, high = config.fov_deg
    # The mean of two draws, since most photos are taken with middling lenses.
    shared = (dice.uniform(low, high, batch, 1) + dice.uniform(low, high, batch, 1)) / 2
    zoom = torch.where(dice.chance(0.25, batch, 1), 6.0, 0.0) * dice.normal(batch, views)
    fov = torch.deg2rad((shared + zoom).clamp(low, high))
    focal_px = max(height, width) / 2 / (fov / 2).tan()
    shift = torch.where(dice.chance(0.2, batch, 1, 1), 0.03, 0.0) * dice.normal(batch, views, 2)
    intrinsics = torch.zeros(batch, views, 3, 3)
    intrinsics[..., 0, 0] = intrinsics[..., 1, 1] = focal_px
    intrinsics[..., 0, 2] = width * (0.5 + shift[..., 0])
    intrinsics[..., 1, 2] = height * (0.5 + shift[..., 1])
    intrinsics[..., 2, 2] = 1
    return intrinsics
