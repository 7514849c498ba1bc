"""Pinhole cameras.

Frames follow OpenCV: x right, y down, z forward. A transform is named `target_from_source`,
so that neighbouring names cancel. Pixel centres are at +0.5: the top-left pixel of an image
covers [0, 1) x [0, 1) and its centre is (0.5, 0.5), as in COLMAP.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.lenses import Lens


@dataclass(frozen=True)
class Camera:
    """One posed camera, in pixels of the original photo: a pinhole, behind a lens or not."""

    intrinsics: Float[Tensor, "3 3"]
    """Pixels from camera-frame rays, in pixels of an image of this size; ideal ones, that the lens
    bends, where there is one."""

    world_from_camera: Float[Tensor, "4 4"]
    """Rigid pose. World units are those of the scene."""

    height: int
    """Rows of the original photo, after EXIF orientation."""

    width: int
    """Columns of the original photo, after EXIF orientation."""

    lens: Lens | None = None
    """Bends ideal pixels into those of the photo; None where they are the same."""

    def lifted(
        self, ideal: Float[Tensor, "points 2"], depth: Float[Tensor, " points"]
    ) -> Float[Tensor, "points 3"]:
        """Return the world points seen at ideal pixels, in float64.

        Args:
            ideal: In float64.
            depth: Distance along the camera's z axis, not along the ray.
        """
        points = rays_through(ideal, self.intrinsics.double()) * depth[:, None]
        pose = self.world_from_camera.double()
        return points @ pose[:3, :3].mT + pose[:3, 3]


def pixel_grid(
    height: int, width: int, device: torch.device | str | None = None
) -> Float[Tensor, "height width 2"]:
    """Return the position (x, y) of every pixel centre."""
    rows = torch.arange(height, device=device, dtype=torch.float32) + 0.5
    columns = torch.arange(width, device=device, dtype=torch.float32) + 0.5
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack((x, y), dim=-1)


def pinhole(
    focal_px: Float[Tensor, "*views"], height: int, width: int
) -> Float[Tensor, "*views 3 3"]:
    """Return intrinsics with square pixels and the principal point at the image centre."""
    intrinsics = focal_px.new_zeros((*focal_px.shape, 3, 3))
    intrinsics[..., 0, 0] = focal_px
    intrinsics[..., 1, 1] = focal_px
    intrinsics[..., 0, 2] = width / 2
    intrinsics[..., 1, 2] = height / 2
    intrinsics[..., 2, 2] = 1
    return intrinsics


def intrinsics_through(
    target_from_source: Float[Tensor, "*#views 3 3"], intrinsics: Float[Tensor, "*#views 3 3"]
) -> Float[Tensor, "*views 3 3"]:
    """Return the intrinsics after the pixels have moved by an affine map.

    With a view's `original_from_network` and intrinsics at network size, these are the
    intrinsics of the original photo.
    """
    return target_from_source @ intrinsics


def pixels_through(
    target_from_source: Float[Tensor, "3 3"], pixels: Float[Tensor, "*points 2"]
) -> Float[Tensor, "*points 2"]:
    """Return where an affine map takes pixels, such as a view's `original_from_network`."""
    return pixels @ target_from_source[:2, :2].mT + target_from_source[:2, 2]


def invert_rigid(
    target_from_source: Float[Tensor, "*batch 4 4"],
) -> Float[Tensor, "*batch 4 4"]:
    """Return `source_from_target`, by transposing the rotation."""
    rotation = target_from_source[..., :3, :3].mT
    translation = -rotation @ target_from_source[..., :3, 3:]
    bottom = target_from_source[..., 3:, :]
    return torch.cat((torch.cat((rotation, translation), dim=-1), bottom), dim=-2)


def unproject(
    depth: Float[Tensor, "*views height width"],
    intrinsics: Float[Tensor, "*views 3 3"],
    world_from_camera: Float[Tensor, "*views 4 4"] | None = None,
) -> Float[Tensor, "*views height width 3"]:
    """Return the point seen at each pixel centre.

    Args:
        depth: Distance along the camera's z axis, not along the ray.
        intrinsics: In pixels of the depth image.
        world_from_camera: Without it the points stay in the camera frame.
    """
    height, width = depth.shape[-2:]
    pixels = pixel_grid(height, width, depth.device).to(depth.dtype).flatten(0, 1)
    rays = rays_through(pixels, intrinsics).unflatten(-2, (height, width))
    points = rays * depth[..., None]
    if world_from_camera is None:
        return points
    rotation, translation = world_from_camera[..., :3, :3], world_from_camera[..., :3, 3]
    flat = points.flatten(-3, -2) @ rotation.mT + translation[..., None, :]
    return flat.unflatten(-2, (height, width))


def rays_through(
    pixels: Float[Tensor, "*#views points 2"], intrinsics: Float[Tensor, "*#views 3 3"]
) -> Float[Tensor, "*views points 3"]:
    """Return the ray of each pixel in the camera frame, with z = 1."""
    fx, skew, cx = intrinsics[..., None, 0, :].unbind(-1)
    fy, cy = intrinsics[..., None, 1, 1], intrinsics[..., None, 1, 2]
    y = (pixels[..., 1] - cy) / fy
    x = (pixels[..., 0] - cx - skew * y) / fx
    return torch.stack((x, y, torch.ones_like(x)), dim=-1)


def project(
    points: Float[Tensor, "*#views points 3"],
    intrinsics: Float[Tensor, "*#views 3 3"],
    camera_from_world: Float[Tensor, "*#views 4 4"],
) -> tuple[Float[Tensor, "*views points 2"], Float[Tensor, "*views points"]]:
    """Return where points land in the image, and their depth along the camera's z axis.

    A point is seen only where its depth is positive; the pixel of any other means nothing.
    """
    rotation, translation = camera_from_world[..., :3, :3], camera_from_world[..., :3, 3]
    seen = points @ rotation.mT + translation[..., None, :]
    depth = seen[..., 2]
    pixels = (seen / depth[..., None]) @ intrinsics[..., :2, :].mT
    return pixels, depth
