"""The answer that knows nothing: what a method must beat."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8

from fast3r.evaluation.benchmark import Answer, DenseView

_PITCH = 8
"""Photo pixels per grid pixel: a plane needs no more."""


class Trivial:
    """Cameras without rotation, a step along x from one to the next, each before a flat wall.

    The wall is one step away; the focal length is the long side, a field of view of 53 degrees.
    """

    name = "trivial"
    """Name in tables and of its folder of results."""

    settings: Mapping[str, str | int | float | None] = {}
    """There is nothing to choose."""

    def __call__(self, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Answer:
        """Return the same for all photos of these sizes."""
        poses = [_pose(index) for index in range(len(photos))]
        sizes = [(photo.shape[0], photo.shape[1]) for photo in photos]
        intrinsics = [_intrinsics(height, width) for height, width in sizes]
        dense = [
            _wall(height, width, k, pose)
            for (height, width), k, pose in zip(sizes, intrinsics, poses, strict=True)
        ]
        return Answer(poses, intrinsics, dense)


def _pose(index: int) -> Float[np.ndarray, "4 4"]:
    pose = np.eye(4)
    pose[0, 3] = index
    return pose


def _intrinsics(height: int, width: int) -> Float[np.ndarray, "3 3"]:
    focal_px = float(max(height, width))
    return np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])


def _wall(
    height: int,
    width: int,
    intrinsics: Float[np.ndarray, "3 3"],
    pose: Float[np.ndarray, "4 4"],
) -> DenseView:
    rows, columns = -(-height // _PITCH), -(-width // _PITCH)
    x, y = np.meshgrid(_PITCH * (np.arange(columns) + 0.5), _PITCH * (np.arange(rows) + 0.5))
    rays = np.stack((x, y, np.ones_like(x)), axis=-1) @ np.linalg.inv(intrinsics).T
    flat = np.ones((rows, columns))
    return DenseView(rays + pose[:3, 3], flat, flat, np.diag([_PITCH, _PITCH, 1.0]))
