"""One photo of a dataset with its ground truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

_RIGID_TOLERANCE = 1e-2
"""Poses of some datasets were stored with few digits; a wrong convention is off by far more."""


@dataclass(frozen=True)
class Frame:
    """A photo, the depth of its pixels and the camera that took it."""

    name: str
    """What the dataset calls it; unique within its scene."""

    image: UInt8[np.ndarray, "height width 3"]
    """RGB."""

    depth: Float32[np.ndarray, "height width"] | None
    """Distance along the camera's z axis in units of the poses; 0 where unknown. None: has none."""

    intrinsics: Float[np.ndarray, "3 3"]
    """Pixels of `image` from camera-frame rays; pixel centres at +0.5."""

    world_from_camera: Float[np.ndarray, "4 4"]
    """Rigid pose, OpenCV axes."""


class BrokenFrameError(ValueError):
    """A frame that cannot be used: a file is missing or unreadable, or a value is impossible.

    The message names the file, what was found and what was expected.
    """


def checked_frame(
    name: str,
    image: UInt8[np.ndarray, "height width 3"],
    depth: Float32[np.ndarray, "_height _width"] | None,
    intrinsics: Shaped[np.ndarray, "..."],
    world_from_camera: Shaped[np.ndarray, "..."],
    *,
    source: Path,
) -> Frame:
    """Return the frame of these parts, see `Frame`, if they fit together.

    Args:
        name: Of the frame.
        image: Of the frame.
        depth: Of the frame.
        intrinsics: Of the frame.
        world_from_camera: Of the frame.
        source: File to name in a message: that of the camera.

    Raises:
        BrokenFrameError: Depth has another size than the photo or none is known, or the camera
            is impossible: a focal length that is not positive, or a pose that is not rigid.
    """
    if depth is not None and depth.shape != image.shape[:2]:
        raise BrokenFrameError(
            f"{source}: its photo has {_px(image.shape)} and its depth map {_px(depth.shape)}; "
            "expected one size"
        )
    if depth is not None and not depth.any():
        raise BrokenFrameError(f"{source}: its depth map is empty; expected some depth")
    if not is_pinhole(intrinsics):
        raise BrokenFrameError(
            f"{source}: its intrinsics are {intrinsics.tolist()}; "
            "expected 3x3 finite numbers with focal lengths above 0 and a last row of 0, 0, 1"
        )
    if not is_rigid(world_from_camera):
        raise BrokenFrameError(
            f"{source}: its pose is {world_from_camera.tolist()}; "
            "expected 4x4 finite numbers with a rotation"
        )
    return Frame(name, image, depth, intrinsics, world_from_camera)


def is_pinhole(matrix: Shaped[np.ndarray, "..."]) -> bool:
    """Return whether an array can be intrinsics: 3x3, finite, of focal lengths above 0."""
    return (
        matrix.shape == (3, 3)
        and matrix.dtype.kind == "f"
        and bool(np.isfinite(matrix).all())
        and bool((matrix[[0, 1], [0, 1]] > 0).all())
        and np.allclose(matrix[2], (0, 0, 1))
    )


def is_rigid(matrix: Shaped[np.ndarray, "..."]) -> bool:
    """Return whether an array can be a rigid pose: 4x4, finite, with a rotation."""
    if matrix.shape != (4, 4) or matrix.dtype.kind != "f" or not np.isfinite(matrix).all():
        return False
    rotation = matrix[:3, :3].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = np.abs(rotation.T @ rotation - np.eye(3)).max()
    return bool(deviation < _RIGID_TOLERANCE) and float(np.linalg.det(rotation)) > 0


def _px(size: tuple[int, ...]) -> str:
    return f"{size[1]}x{size[0]} px"
