"""Random poses, and the same seen from another world."""

import torch
from torch import Tensor

from fast3r.geometry.transforms import Similarity, rotation_exp
from tests.geometry.synthetic import random_rotation, random_similarity


def random_poses(seed: int, views: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    poses = torch.eye(4, dtype=torch.float64).repeat(views, 1, 1)
    poses[:, :3, :3] = random_rotation(generator, views, dtype=torch.float64)
    poses[:, :3, 3] = torch.randn(views, 3, generator=generator).double()
    return poses


def line_of_poses(seed: int, views: int = 5) -> Tensor:
    """Cameras of random orientation on a straight line."""
    poses = random_poses(seed, views)
    direction = poses[0, :3, 3].clone()
    poses[:, :3, 3] = torch.arange(views).double()[:, None] * direction + poses[1, :3, 3].clone()
    return poses


def random_map(seed: int) -> Similarity:
    return random_similarity(torch.Generator().manual_seed(seed), dtype=torch.float64)


def in_world(new_from_old: Similarity, poses: Tensor) -> Tensor:
    moved = poses.clone()
    moved[:, :3, :3] = new_from_old.rotation @ poses[:, :3, :3]
    moved[:, :3, 3] = new_from_old(poses[:, :3, 3])
    return moved


def turned(pose: Tensor, degrees: float) -> Tensor:
    """The camera, turned about its own axis."""
    by = torch.eye(4, dtype=pose.dtype)
    angle = torch.tensor([0, 0, degrees], dtype=pose.dtype).deg2rad()
    by[:3, :3] = rotation_exp(angle)
    return pose @ by
