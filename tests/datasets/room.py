"""Cameras before two walls: what each of them sees is known."""

from collections.abc import Sequence

import numpy as np

from fast3r.data.overlap import Pinhole

HEIGHT, WIDTH, FOCAL = 48, 64, 40.0


def look(x: float, z: float, *, turn_deg: float = 0.0) -> Pinhole:
    """A camera at (x, 0, z) that looks along z, or turned by an angle towards x."""
    angle = np.deg2rad(turn_deg)
    pose = np.eye(4)
    pose[:3, :3] = [
        [np.cos(angle), 0, np.sin(angle)],
        [0, 1, 0],
        [-np.sin(angle), 0, np.cos(angle)],
    ]
    pose[:3, 3] = x, 0, z
    intrinsics = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    return Pinhole(HEIGHT, WIDTH, intrinsics, pose)


def depth_of_walls(camera: Pinhole, walls: Sequence[float]) -> np.ndarray:
    """Return the depth of the nearest of the planes at these z, 0 where none is hit."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(camera.intrinsics).T
    along = (rays @ camera.world_from_camera[:3, :3].T)[..., 2]
    nearest = np.full(along.shape, np.inf)
    for wall in walls:
        with np.errstate(divide="ignore"):
            depth = (wall - camera.world_from_camera[2, 3]) / along
        nearest = np.where((depth > 0) & (depth < nearest), depth, nearest)
    return np.where(nearest < 50, nearest, 0).astype(np.float32)
