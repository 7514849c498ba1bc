"""A walk through a corridor that comes back to where it began, and a network that sees it.

The corridor runs round in a ring; its walls, floor and ceiling have a pattern that nowhere repeats,
unless it is told to. Depth is exact; what the network says of a pass is true but for a unit and a
frame of its own, noise of its poses, drift along the pass, and noise of its points.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import invert_rigid, pinhole, pixel_grid, rays_through
from fast3r.geometry.transforms import rotation_exp
from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.fast3r import Chunks, Fast3R, Tokens
from fast3r.models.layout import layout_of
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.views.view import View

RADIUS, HALF_WIDTH, HALF_HEIGHT = 10.0, 2.0, 1.5
HEIGHT, WIDTH, FOCAL_PX = 32, 48, 30.0
# One original pixel for each pixel of the network.
_CONFIG = Fast3RConfig(
    encoder=EncoderConfig(width=32, depth=1, heads=1, patch=8),
    fusion=FusionConfig(width=16, depth=4, heads=1),
    head=HeadConfig(features=8, last_features=8, level_widths=(8, 8, 8, 8)),
    image_size=WIDTH,
)


@dataclass(frozen=True)
class Walk:
    """Views of the corridor, with their truth."""

    views: list[View]
    """In the order of the walk."""

    world_from_camera: Float[Tensor, "views 4 4"]
    """In float64."""

    depth: Float[Tensor, "views height width"]
    """Exact."""


@dataclass(frozen=True)
class Errors:
    """What the network gets wrong; standard deviations."""

    turn_deg: float = 0.3
    """Of each pose."""

    place: float = 0.01
    """Of each pose, relative to the median depth."""

    drift_deg: float = 0.05
    """Of each step along a pass; adds up."""

    drift_scale: float = 0.004
    """Of the logarithm of the scale at each step; adds up."""

    depth: float = 0.02
    """Of each point, relative to its depth."""


def walk(count: int, *, turns: float = 1.05, periods: int = 1) -> Walk:
    """Return views on a walk round the corridor, looking ahead and a little to the outer wall.

    Args:
        count: Views.
        turns: How often it goes round.
        periods: How often the pattern repeats on the way round; 1 for never.
    """
    angle = torch.arange(count).double() / count * turns * 2 * math.pi
    poses = torch.stack([_pose(a.item(), i) for i, a in enumerate(angle)])
    grid = pixel_grid(HEIGHT, WIDTH).double().flatten(0, 1)
    intrinsics = pinhole(torch.tensor(FOCAL_PX), HEIGHT, WIDTH).double()
    rays = rays_through(grid[None], intrinsics[None])[0]
    depth = torch.stack([_depth(pose, rays) for pose in poses])
    points = rays * depth[..., None] @ poses[:, :3, :3].mT + poses[:, None, :3, 3]
    colours = _colours(points, periods).view(count, HEIGHT, WIDTH, 3)
    views = [
        View(
            pixels=pixels,
            original_from_network=torch.eye(3),
            name=f"frame_{index:05d}.png",
            original_height=HEIGHT,
            original_width=WIDTH,
            camera_key="simulated",
        )
        for index, pixels in enumerate(colours)
    ]
    return Walk(views, poses, depth.view(count, HEIGHT, WIDTH))


class SimulatedNetwork(Fast3R):
    """Knows the truth of a walk, and says it with errors.

    Args:
        truth: The walk.
        errors: Of what it says.
        confused_about: A rotation of this many radians about the axis of the ring is not noticed:
            views that far apart, which look the same, are put where the others are.
        blind_to: Views that it has no idea of.
    """

    def __init__(
        self,
        truth: Walk,
        errors: Errors | None = None,
        *,
        confused_about: float | None = None,
        blind_to: Sequence[int] = (),
    ) -> None:
        torch.manual_seed(0)
        super().__init__(_CONFIG)
        self.eval()
        self.passes = 0
        self._truth, self._errors = truth, errors or Errors()
        self._confused_about, self._blind_to = confused_about, set(blind_to)
        self._index = {_key(view.image): i for i, view in enumerate(truth.views)}
        self._seen: list[int] = []

    def tokens(self, images: Sequence[Tensor], *arguments: object, **options: object) -> Tokens:  # pyright: ignore
        """Remember which views are seen; nothing is computed."""
        self.passes += 1
        self._seen = [self._index[_key(image[0] + 0)] for image in images]
        return Tokens([], layout_of([(1, 1)]))

    def predict(
        self, tokens: Tokens, *, chunks: Chunks | None = None
    ) -> Iterator[tuple[int, Prediction]]:
        """Yield what it says of the views that it saw."""
        generator = torch.Generator().manual_seed(sum(self._seen) * 31 + len(self._seen))
        frame = _Frame(self._truth, self._seen, self._errors, self._confused_about, generator)
        for place, index in enumerate(self._seen):
            if index in self._blind_to:
                yield place, _nonsense(generator)
            else:
                yield place, frame.prediction(place)


class _Frame:
    """One pass: its unit, its frame, and how it drifts."""

    def __init__(
        self,
        truth: Walk,
        seen: Sequence[int],
        errors: Errors,
        confused_about: float | None,
        generator: torch.Generator,
    ) -> None:
        self._truth, self._seen, self._errors, self._generator = truth, seen, errors, generator
        self._unit = math.exp(0.5 * self._normal(()).item())
        poses = truth.world_from_camera[list(seen)]
        if confused_about is not None:
            poses = _confused(poses, confused_about)
        self._poses = self._drifting(invert_rigid(poses[:1]) @ poses)

    def prediction(self, place: int) -> Prediction:
        """Return what the network says of a view."""
        index, errors = self._seen[place], self._errors
        grid = pixel_grid(HEIGHT, WIDTH).double().flatten(0, 1)
        intrinsics = pinhole(torch.tensor(FOCAL_PX), HEIGHT, WIDTH).double()
        rays = rays_through(grid[None], intrinsics[None])[0]
        depth = self._truth.depth[index].flatten() * self._scale[place]
        pose = self._poses[place]
        noise = self._normal((2, len(depth), 3)) * errors.depth * depth[:, None]
        local = rays * depth[:, None]
        world = (local + noise[0]) @ pose[:3, :3].mT + pose[:3, 3]
        confidence = torch.full((1, HEIGHT, WIDTH), 3.0)
        shape = (1, HEIGHT, WIDTH, 3)
        return Prediction(
            Pointmap((world / self._unit).float().view(shape), confidence),
            Pointmap(((local + noise[1]) / depth.median()).float().view(shape), confidence),
        )

    def _drifting(self, poses: Float[Tensor, "views 4 4"]) -> Float[Tensor, "views 4 4"]:
        """Return poses in whose steps errors add up, each with an error of its own.

        A view is not the next step of the one before it where the pass jumps: there nothing adds.
        """
        errors, count = self._errors, len(poses)
        drift = rotation_exp(self._normal((count, 3)) * math.radians(errors.drift_deg))
        growth = (self._normal((count,)) * errors.drift_scale).exp()
        own = rotation_exp(self._normal((count, 3)) * math.radians(errors.turn_deg))
        places = self._normal((count, 3)) * errors.place * self._truth.depth.median()
        result, scale = [poses[0]], [torch.ones((), dtype=torch.float64)]
        for index in range(1, count):
            step = invert_rigid(poses[index - 1]) @ poses[index]
            factor = scale[-1] * growth[index]
            shift = step[:3, 3] * scale[-1]
            turned = torch.eye(4, dtype=torch.float64)
            turned[:3, :3], turned[:3, 3] = step[:3, :3] @ drift[index], shift
            result.append(result[-1] @ turned)
            scale.append(factor)
        self._scale = torch.stack(scale)
        noisy = torch.stack(result)
        noisy[:, :3, :3] = noisy[:, :3, :3] @ own
        noisy[:, :3, 3] += places
        return noisy

    def _normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self._generator, dtype=torch.float64)


def _key(image: Tensor) -> bytes:
    return (image * 255).round().to(torch.uint8).numpy().tobytes()


def _pose(angle: float, index: int) -> Float[Tensor, "4 4"]:
    """Return a camera in the middle of the corridor; the world's z axis points up."""
    out = torch.tensor([math.cos(angle), math.sin(angle), 0.0], dtype=torch.float64)
    ahead = torch.tensor([-math.sin(angle), math.cos(angle), 0.0], dtype=torch.float64)
    forward = ahead + 0.5 * out
    forward = forward / forward.norm()
    down = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.stack((torch.linalg.cross(down, forward), down, forward), dim=-1)
    pose[:3, 3] = RADIUS * out + torch.tensor([0.0, 0.0, 0.2 * math.sin(0.37 * index)])
    return pose


def _depth(pose: Float[Tensor, "4 4"], rays: Float[Tensor, "pixels 3"]) -> Float[Tensor, " pixels"]:
    """Return the distance, along the axis of the camera, of the first wall that each ray meets."""
    direction, start = rays @ pose[:3, :3].mT, pose[:3, 3]
    flat = (torch.sign(direction[:, 2]) * HALF_HEIGHT - start[2]) / direction[:, 2]
    meets = [flat.where(flat > 0, torch.inf)]
    a = direction[:, :2].square().sum(dim=-1)
    b = direction[:, :2] @ start[:2]
    for radius in (RADIUS - HALF_WIDTH, RADIUS + HALF_WIDTH):
        root = b.square() - a * (start[:2].square().sum() - radius**2)
        for sign in (-1, 1):
            at = (-b + sign * root.clamp(min=0).sqrt()) / a
            meets.append(at.where((root > 0) & (at > 1e-6), torch.inf))
    return torch.stack(meets).amin(dim=0)


def _colours(points: Float[Tensor, "views pixels 3"], periods: int) -> Tensor:
    """Return colours that change along the corridor and up its walls."""
    angle = torch.atan2(points[..., 1], points[..., 0]) * periods
    across = points[..., :2].norm(dim=-1) - RADIUS
    generator = torch.Generator().manual_seed(4)
    total = torch.zeros(*angle.shape, 3, dtype=torch.float64)
    for frequency in (1, 2, 3, 5, 8, 13):
        for part in (angle * frequency, angle * frequency + 2 * points[..., 2] + across):
            phase = 2 * math.pi * torch.rand(3, generator=generator).double()
            total += torch.sin(part[..., None] + phase)
    return (127.5 + 30 * total).clamp(0, 255).to(torch.uint8)


def _confused(poses: Float[Tensor, "views 4 4"], about: float) -> Float[Tensor, "views 4 4"]:
    """Return poses turned about the ring's axis so that views `about` apart fall together."""
    angles = torch.atan2(poses[:, 1, 3], poses[:, 0, 3])
    first = angles[0]
    apart = torch.round((angles - first) / about) * about
    turned = poses.clone()
    turn = torch.zeros(len(poses), 3, dtype=torch.float64)
    turn[:, 2] = -apart
    rotation = rotation_exp(turn)
    turned[:, :3] = rotation @ poses[:, :3]
    return turned


def _nonsense(generator: torch.Generator) -> Prediction:
    maps = [
        Pointmap(
            torch.randn(1, HEIGHT, WIDTH, 3, generator=generator),
            1 + torch.rand(1, HEIGHT, WIDTH, generator=generator),
        )
        for _ in range(2)
    ]
    return Prediction(maps[0], maps[1])
