"""Photos of any size become views of one size, with exact intrinsics.

The largest rectangle that is centred on the principal point is scaled, alike along both axes, to
cover the target, and what stands over is cropped evenly. Sizes and intrinsics are those of DUSt3R
(Wang et al., CVPR 2024); the photo is resampled once.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

from fast3r.data.config import Shape
from fast3r.data.frame import BrokenFrameError, Frame

_MIN_MARGIN = 1 / 5
"""The principal point must be as far inside the photo, as a share of its side (DUSt3R)."""

_SQUARE = 1.1
"""Up to this ratio of its sides a photo is neither landscape nor portrait (DUSt3R)."""


class _Crop(NamedTuple):
    """A rectangle of a photo that becomes a view."""

    left: float
    top: float
    right: float
    bottom: float
    scale: float


def oriented(shape: Shape, frame: Frame, dice: np.random.Generator) -> Shape:
    """Return the shape as it lies for a photo: upright for portraits, either way for squares."""
    wide = shape if shape.width >= shape.height else shape.turned
    height, width = frame.image.shape[:2]
    if max(height, width) <= _SQUARE * min(height, width):
        return wide if dice.random() < 0.5 else wide.turned
    return wide if width > height else wide.turned


def fit_frame(frame: Frame, shape: Shape, *, extra_px: int = 0) -> Frame:
    """Return the frame at another size: the middle of the photo around its principal point.

    Args:
        frame: A photo of any size.
        shape: Size to return.
        extra_px: The photo is scaled to cover a shape whose sides are longer by so much, and
            loses as much at its edges.

    Raises:
        BrokenFrameError: The principal point is near the edge of the photo or outside.
    """
    crop = _plan(frame, shape, extra_px)
    view_from_photo = np.diag([crop.scale, crop.scale, 1.0])
    view_from_photo[:2, 2] = -crop.scale * np.array([crop.left, crop.top])
    return Frame(
        name=frame.name,
        image=_resized(frame.image, shape, crop),
        depth=None if frame.depth is None else _nearest(frame.depth, shape, crop),
        intrinsics=view_from_photo @ frame.intrinsics,
        world_from_camera=frame.world_from_camera,
    )


def _plan(frame: Frame, shape: Shape, extra_px: int) -> _Crop:
    centre, margin = _centred_rectangle(frame)
    target = np.array([shape.width, shape.height])
    scale = float(((target + extra_px) / (2 * margin)).max())
    # The scaled rectangle counts in whole pixels; a product just below one is a rounding error.
    covered = np.floor(2 * margin * scale + 1e-6)
    cut = (2 * margin * scale - covered) / 2 + np.round((covered - target) / 2)
    left, top = centre - margin + cut / scale
    right, bottom = np.array([left, top]) + target / scale
    return _Crop(float(left), float(top), float(right), float(bottom), scale)


def _centred_rectangle(
    frame: Frame,
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Return centre and half the size (x, y) of the rectangle, in whole pixels."""
    height, width = frame.image.shape[:2]
    size = np.array([width, height])
    principal = frame.intrinsics[:2, 2]
    centre = np.floor(principal)
    margin = np.minimum(centre, size - centre)
    if not (margin > _MIN_MARGIN * size).all():
        x, y = principal.tolist()
        raise BrokenFrameError(
            f"{frame.name}: the principal point is at ({x:.1f}, {y:.1f}) px of {width}x{height}; "
            f"expected a fifth of the photo on every side of it"
        )
    return centre, margin


def _resized(
    image: UInt8[np.ndarray, "height width 3"], shape: Shape, crop: _Crop
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    filter_ = Image.Resampling.LANCZOS if crop.scale < 1 else Image.Resampling.BICUBIC
    height, width = image.shape[:2]
    # The sums may exceed the photo by a rounding error, which Pillow refuses.
    box = (crop.left, crop.top, min(crop.right, width), min(crop.bottom, height))
    resized = Image.fromarray(image).resize((shape.width, shape.height), filter_, box)
    return np.asarray(resized)


def _nearest(
    depth: Float32[np.ndarray, "height width"], shape: Shape, crop: _Crop
) -> Float32[np.ndarray, "new_height new_width"]:
    """Return, for each pixel centre, the depth stored for the pixel that it falls into."""
    rows = crop.top + (np.arange(shape.height) + 0.5) / crop.scale
    columns = crop.left + (np.arange(shape.width) + 0.5) / crop.scale
    return depth[rows.astype(int)[:, None], columns.astype(int)]
