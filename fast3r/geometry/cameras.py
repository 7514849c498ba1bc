"""Pinhole cameras.

Frames follow OpenCV: x right, y down, z forward. A transform is named `target_from_source`,
so that neighbouring names cancel. Pixel centres are at +0.5: the top-left pixel of an image
covers [0, 1) x [0, 1) and its centre is (0.5, 0.5), as in COLMAP.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Camera:
    """One posed pinhole camera, in pixels of the original photo."""

    intrinsics: Float[Tensor, "3 3"]
    """Pixels from camera-frame rays, in pixels of an image of this size."""

    world_from_camera: Float[Tensor, "4 4"]
    """Rigid pose. World units are those of the scene."""

    height: int
    """Rows of the original photo, after EXIF orientation."""

    width: int
    """Columns of the original photo, after EXIF orientation."""
