"""A wall at z = 3 m, photographed by tilted cameras: what a loader must give back is known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fast3r.data.frame import Frame

WALL_M = 3.0


@dataclass(frozen=True)
class Shot:
    """A photo of the wall, as a camera with pixel centres at +0.5 and OpenCV axes takes it."""

    image: np.ndarray
    depth_m: np.ndarray
    intrinsics: np.ndarray
    world_from_camera: np.ndarray

    @property
    def integer_centred(self) -> np.ndarray:
        """Intrinsics as OpenCV counts pixels: the first one's centre is at (0, 0)."""
        return self.intrinsics - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def photograph_wall(place: int, *, height: int = 12, width: int = 16) -> Shot:
    """Return the shot from one of several places; each has its own colour, pose and camera."""
    intrinsics = np.array([[20.0 + place, 0, 7.25], [0, 22, 6.5], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3] = _turn(1, 0.2 + 0.03 * place) @ _turn(0, 0.25)
    pose[:3, 3] = 0.1 * place, -0.2, 0.3
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    rays = pixels @ np.linalg.inv(intrinsics).T @ pose[:3, :3].T
    image = np.zeros((height, width, 3), np.uint8)
    image[:] = 220, 120 - 5 * place, 20
    return Shot(image, (WALL_M - pose[2, 3]) / rays[..., 2], intrinsics, pose)


def assert_same(frame: Frame, shot: Shot, *, depth_tolerance_m: float) -> None:
    """Check that a loader gave back what was photographed, where it knows the depth."""
    assert np.abs(frame.image.astype(int) - shot.image).max() < 6
    np.testing.assert_allclose(frame.intrinsics, shot.intrinsics, atol=1e-4)
    np.testing.assert_allclose(frame.world_from_camera, shot.world_from_camera, atol=1e-6)
    assert frame.depth is not None
    known = frame.depth > 0
    error = np.abs(frame.depth - shot.depth_m)[known]
    assert error.max() < depth_tolerance_m
    assert np.abs(_world_points(frame)[known][:, 2] - WALL_M).max() < 2 * depth_tolerance_m


def write_photo(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def write_millimetres(path: Path, depth_m: np.ndarray) -> None:
    write_photo(path, np.round(depth_m * 1000).astype(np.uint16))


def _world_points(frame: Frame) -> np.ndarray:
    height, width = frame.image.shape[:2]
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    in_camera = pixels @ np.linalg.inv(frame.intrinsics).T * frame.depth[..., None]
    return in_camera @ frame.world_from_camera[:3, :3].T + frame.world_from_camera[:3, 3]


def _turn(axis: int, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.eye(3)
    others = [other for other in range(3) if other != axis]
    rotation[np.ix_(others, others)] = [[cos, -sin], [sin, cos]]
    return rotation
