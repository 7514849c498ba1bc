"""Random motions and posed points for the tests of geometry."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fast3r.geometry.cameras import pinhole, rays_through
from fast3r.geometry.transforms import Similarity, rotation_exp

HEIGHT, WIDTH, FOCAL_PX = 384, 512, 450.0


def random_rotation(
    generator: torch.Generator, *batch: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Rotations about random axes, by angles of all sizes below 180 degrees."""
    axis = torch.randn(*batch, 3, generator=generator, dtype=dtype)
    axis = axis / axis.norm(dim=-1, keepdim=True)
    return rotation_exp(axis * 3.1 * torch.rand(*batch, 1, generator=generator, dtype=dtype))


def random_similarity(
    generator: torch.Generator, *batch: int, dtype: torch.dtype = torch.float32
) -> Similarity:
    scale = torch.randn(batch, generator=generator, dtype=dtype).exp()
    shift = torch.randn(*batch, 3, generator=generator, dtype=dtype)
    return Similarity(scale, random_rotation(generator, *batch, dtype=dtype), shift)


def random_pose(generator: torch.Generator, *batch: int) -> Tensor:
    pose = torch.eye(4).expand(*batch, 4, 4).clone()
    pose[..., :3, :3] = random_rotation(generator, *batch)
    pose[..., :3, 3] = 2 * torch.randn(*batch, 3, generator=generator)
    return pose


@dataclass(frozen=True)
class PosedPoints:
    points: Tensor
    pixels: Tensor
    intrinsics: Tensor
    world_from_camera: Tensor


def posed_points(
    views: int = 8, count: int = 3000, *, outliers: float = 0.0, noise: float = 0.01, seed: int = 0
) -> PosedPoints:
    """Points 2 to 6 units before their camera, with noise relative to their depth.

    An outlier is a place elsewhere in the frustum of its view.
    """
    generator = torch.Generator().manual_seed(seed)
    intrinsics = pinhole(torch.full((views,), FOCAL_PX), HEIGHT, WIDTH)

    def random_pixels() -> Tensor:
        size = torch.tensor([WIDTH, HEIGHT])
        return torch.rand(views, count, 2, generator=generator) * size

    def seen(pixels: Tensor) -> Tensor:
        depth = 2 + 4 * torch.rand(views, count, 1, generator=generator)
        return rays_through(pixels, intrinsics) * depth

    pixels = random_pixels()
    local = seen(pixels)
    local = local + noise * local[..., 2:] * torch.randn(local.shape, generator=generator)
    is_outlier = torch.rand(views, count, 1, generator=generator) < outliers
    local = torch.where(is_outlier, seen(random_pixels()), local)
    pose = random_pose(generator, views)
    world = local @ pose[:, :3, :3].mT + pose[:, None, :3, 3]
    return PosedPoints(world, pixels, intrinsics, pose)
