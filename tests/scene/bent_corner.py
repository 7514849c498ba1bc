"""Photos of the corner through lenses that bend straight lines, and as panoramas."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from fast3r.geometry.cameras import Camera, invert_rigid, pixel_grid, rays_through
from fast3r.geometry.lenses import Lens
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.views.view import View
from tests.scene.corner import corner_poses, corner_seen, corner_textures

LENSES = {
    "SIMPLE_RADIAL": Lens("SIMPLE_RADIAL", (225.0, 121.0, 91.0, -0.15), 240, 180),
    "RADIAL": Lens("RADIAL", (225.0, 121.0, 91.0, 0.2, -0.05), 240, 180),
    "OPENCV": Lens("OPENCV", (225.0, 222.0, 124.0, 88.0, -0.25, 0.06, 2e-3, -3e-3), 240, 180),
    "OPENCV_FISHEYE": Lens(
        "OPENCV_FISHEYE", (150.0, 151.0, 118.0, 92.0, 0.02, -0.01, 2e-3, 0.0), 240, 180
    ),
}
"""Strong ones: edges of the photo are bent by 5 to 20 pixels."""


def save_bent(lens: Lens, folder: Path, count: int = 4) -> list[Tensor]:
    """Write photos through a lens and return their poses."""
    fine = pixel_grid(2 * lens.height, 2 * lens.width).double() / 2
    rays = lens.undistort(fine).float()
    # Corners that the lens shows no ray for are black.
    shown = rays.isfinite().all(dim=-1, keepdim=True)
    return _save(rays.nan_to_num(1.0), shown, folder, count)


def save_panoramas(height: int, folder: Path, count: int = 2) -> list[Tensor]:
    """Write panoramas and return their poses."""
    fine = pixel_grid(2 * height, 4 * height) / (2 * height)
    longitude, latitude = (fine[..., 0] - 1) * torch.pi, (fine[..., 1] - 0.5) * torch.pi
    rays = torch.stack(
        (
            latitude.cos() * longitude.sin(),
            latitude.sin(),
            latitude.cos() * longitude.cos(),
        ),
        dim=-1,
    )
    return _save(rays, torch.ones_like(rays[..., :1], dtype=torch.bool), folder, count)


def exact_scene(views: Sequence[View], poses: Sequence[Tensor]) -> Reconstruction:
    """Return a perfect reconstruction of views with known intrinsics."""
    cameras, depths = [], []
    for view, pose in zip(views, poses, strict=True):
        intrinsics = view.known_intrinsics.float()
        affine = view.original_from_network
        ideal = pixel_grid(view.height, view.width) @ affine[:2, :2].mT + affine[:2, 2]
        rays = rays_through(ideal.flatten(0, 1), intrinsics).view(view.height, view.width, 3)
        depths.append(corner_seen(rays, pose, corner_textures())[0])
        cameras.append(Camera(intrinsics, pose, view.original_height, view.original_width))
    return Reconstruction(
        views=list(views),
        cameras=cameras,
        depth=depths,
        confidence=[torch.ones_like(depth) for depth in depths],
        failures=[None] * len(views),
        skipped=[],
        scale=Scale(),
    )


def seen_by(scene: Reconstruction) -> list[Prediction]:
    """Return the pointmaps of a network that makes no mistakes."""
    predictions = []
    for index in range(len(scene.views)):
        world = scene.world_points(index)
        camera = scene.camera(index)
        pose = invert_rigid(camera.world_from_camera)
        local = world @ pose[:3, :3].mT + pose[:3, 3]
        confidence = torch.full((1, *world.shape[:2]), 3.0)
        predictions.append(
            Prediction(Pointmap(world[None], confidence), Pointmap(local[None] / 2, confidence))
        )
    return predictions


def _save(rays: Tensor, shown: Tensor, folder: Path, count: int) -> list[Tensor]:
    folder.mkdir(parents=True, exist_ok=True)
    poses, textures = corner_poses(count), corner_textures()
    for index, pose in enumerate(poses):
        _, pixels = corner_seen(rays, pose, textures)
        picture = Image.fromarray(pixels.where(shown, 0).byte().numpy())
        picture.reduce(2).save(folder / f"{index}.png")
    return poses
