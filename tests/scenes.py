"""Small exact scenes: a sphere before a wall, seen by known cameras in photos of several kinds."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fast3r.export.framing import look_at
from fast3r.geometry.cameras import Camera, pixel_grid, rays_through
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.views.view import SkippedPhoto, View


@dataclass(frozen=True)
class Shot:
    """A kind of photo: its size at the network and as a file, and the map between the two."""

    height: int
    width: int
    original_height: int
    original_width: int
    original_from_network: list[list[float]]


SHOTS = {
    "landscape": Shot(24, 32, 3000, 4000, [[125, 0, 0], [0, 125, 0], [0, 0, 1]]),
    "portrait": Shot(32, 24, 4000, 3000, [[125, 0, 0], [0, 125, 0], [0, 0, 1]]),
    # The sides do not divide evenly, and a strip on the left is cut off.
    "cropped": Shot(24, 24, 3000, 4000, [[124.5, 0, 511], [0, 125.25, -3], [0, 0, 1]]),
    # The network image is a quarter turn away from the upright photo.
    "turned": Shot(24, 32, 4000, 3000, [[0, -125, 3000], [125, 0, 0], [0, 0, 1]]),
}

SETS = {
    "landscape": ("landscape",) * 3,
    "portrait": ("portrait",) * 3,
    "turned": ("turned",) * 3,
    "mixed": ("landscape", "portrait", "cropped", "turned"),
}

WALL_Z, SPHERE_CENTRE, SPHERE_RADIUS = 5.0, (0.2, 0.1, 3.5), 0.7


def make_scene(kinds: tuple[str, ...] = SETS["mixed"], *, seed: int = 0) -> Reconstruction:
    """Return a scene with one posed view of each kind; the confidences are random in [1, 9]."""
    generator = torch.Generator().manual_seed(seed)
    views = [_view(kind, i, generator) for i, kind in enumerate(kinds)]
    cameras = [make_camera(view, i) for i, view in enumerate(views)]
    confidence = [1 + 8 * torch.rand(v.height, v.width, generator=generator) for v in views]
    depth = [exact_depth(v, c) for v, c in zip(views, cameras, strict=True)]
    failures = [None] * len(views)
    return Reconstruction(views, cameras, depth, confidence, failures, [], Scale())


def without_cameras(scene: Reconstruction, *indices: int) -> Reconstruction:
    """Return the scene in which the poses of some views were not found."""
    lost = dict.fromkeys(indices, "too few sure points")
    return Reconstruction(
        scene.views,
        [None if i in lost else camera for i, camera in enumerate(scene.cameras)],
        scene.depth,
        scene.confidence,
        [lost.get(i) for i in range(len(scene.views))],
        [SkippedPhoto("notes.txt", "not a photo")],
        scene.scale,
    )


def _view(kind: str, index: int, generator: torch.Generator) -> View:
    shot = SHOTS[kind]
    pixels = torch.randint(0, 256, (shot.height, shot.width, 3), generator=generator)
    return View(
        pixels.to(torch.uint8),
        torch.tensor(shot.original_from_network, dtype=torch.float32),
        f"day {index % 2}/IMG_{index}.jpg".replace(" ", ""),
        shot.original_height,
        shot.original_width,
        source=Path("photos") / f"IMG_{index}.jpg",
        time_s=1.7e9 + index / 3,
        gps=(47.1 + index, 8.3, float("nan")),
    )


def make_camera(view: View, index: int) -> Camera:
    """Return a camera on a line before the wall, turned towards the sphere."""
    focal_px = 3200.0 + 11 * index
    cx, cy = view.original_width / 2 + 13, view.original_height / 2 - 7
    intrinsics = torch.tensor([[focal_px, 0, cx], [0, focal_px + 3, cy], [0, 0, 1]])
    position = torch.tensor([0.4 * index - 0.5, -0.3 - 0.05 * index, 0.02 * index])
    pose = look_at(position, torch.tensor(SPHERE_CENTRE), torch.tensor([0.0, -1.0, 0.0]))
    return Camera(intrinsics, pose, view.original_height, view.original_width)


def exact_depth(view: View, camera: Camera) -> Tensor:
    """Return the depth of the nearer of wall and sphere at each pixel centre."""
    affine = view.original_from_network.double()
    original = pixel_grid(view.height, view.width).double() @ affine[:2, :2].mT + affine[:2, 2]
    pose = camera.world_from_camera.double()
    rays = rays_through(original.flatten(0, 1), camera.intrinsics.double()) @ pose[:3, :3].mT
    origin = pose[:3, 3]
    wall = (WALL_Z - origin[2]) / rays[:, 2]
    towards = torch.tensor(SPHERE_CENTRE, dtype=torch.float64) - origin
    a, b = (rays * rays).sum(-1), rays @ towards
    under_root = b**2 - a * (towards @ towards - SPHERE_RADIUS**2)
    sphere = ((b - under_root.clamp(min=0).sqrt()) / a).where(under_root > 0, torch.inf)
    return torch.minimum(wall, sphere).reshape(view.height, view.width).float()
