"""One photo of a dataset with its ground truth."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8


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
