"""Photos that bend straight lines, shown as a pinhole camera would have seen them.

The "canvas" is that image: it has the photo's size, and is scaled and shifted on the ideal pixels
of the calibration so that it shows as much as it can with every pixel inside the photo.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fast3r.geometry.cameras import pixels_through, rays_through
from fast3r.geometry.lenses import Lens

NETWORK_FIELD_DEG = 75.0
"""Along the long side of a canvas, at most. Networks are trained on photos of about this width: the
bundled one finds better poses and points in the middle of a fisheye than in 100 degrees of it."""

WIDEST_FIELD_DEG = 110.0
"""For all but networks. Towards the ends of this a pinhole stretches a fisheye threefold."""

_BORDER_POINTS = 65
"""Of each side, where a canvas is held against the photo."""

_SCALE_STEPS = 40
"""Of bisection; each halves the error of the scale."""

_MIN_SCALE = 0.05
"""A canvas that shows less than this of the photo shows nothing."""

_NODE_PX = 16
"""Steps at which the lens is evaluated. Between them it is linear to 1/100 of a pixel."""

_SAMPLES = 3
"""Samples for each pixel of a view, along both axes, that the filter of all photos shrinks: about
as many as that filter looks at after a JPEG was decoded at a fraction of its size."""

_ASPECT_TOLERANCE = 0.01
"""Between the photo and the size that a calibration is for."""


@dataclass(frozen=True, eq=False)
class Warp:
    """How a photo is shown as a pinhole camera would have seen it."""

    height: int
    """Rows of the canvas."""

    width: int
    """Columns of the canvas."""

    ideal_from_canvas: Float[Tensor, "3 3"]
    """Affine map of pixels, in float64."""

    photo_from_ideal: Callable[[Float[Tensor, "*points 2"]], Float[Tensor, "*points 2"]]
    """Where the photo shows what the pinhole camera sees."""

    wraps: bool = False
    """Whether the photo's right edge continues at its left."""

    def positions(self, canvas: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 2"]:
        """Return where the photo shows what the canvas does at these pixels."""
        return self.photo_from_ideal(pixels_through(self.ideal_from_canvas, canvas.double()))


def fitted_lens(lens: Lens, *, width: int, height: int, name: str) -> Lens:
    """Return a lens in pixels of a photo, of which it may have been calibrated at another size.

    Raises:
        ValueError: The photo has another shape than the calibration.
    """
    if (lens.width, lens.height) == (width, height):
        return lens
    aspect = lens.width / lens.height
    if abs(math.log(aspect * height / width)) < _ASPECT_TOLERANCE:
        return lens.scaled(width, height)
    turned = abs(math.log(aspect * width / height)) < _ASPECT_TOLERANCE
    hint = "it is of the photo before EXIF turned it" if turned else "it is of another photo"
    raise ValueError(
        f"lens of {name}: it is for {lens.width}x{lens.height} px and the photo has "
        f"{width}x{height}; {hint}"
    )


def lens_warp(lens: Lens, *, max_field_deg: float) -> Warp:
    """Return how a photo through a lens is shown: the largest canvas that it fills.

    Args:
        lens: In pixels of the photo.
        max_field_deg: Angle that the canvas spans along its longer side, at most.

    Raises:
        ValueError: Next to nothing of the photo can be shown.
    """
    size = torch.tensor([lens.width, lens.height], dtype=torch.float64)
    centre = lens.ideal_from_photo(size / 2)
    side = torch.linspace(-0.5, 0.5, _BORDER_POINTS, dtype=torch.float64)
    end = torch.full_like(side, 0.5)
    pairs = ((side, -end), (side, end), (-end, side), (end, side))
    border = torch.cat([torch.stack(pair, dim=-1) for pair in pairs]) * size

    def fits(scale: float) -> bool:
        ideal = centre + scale * border
        pixels = lens.photo_from_ideal(ideal)
        # A millionth of a pixel, as the canvas of a pinhole's photo is the photo.
        shown = ((pixels >= -1e-6) & (pixels <= size + 1e-6)).all()
        return bool(shown) and _field_deg(ideal, lens) <= max_field_deg

    scale = _largest(fits)
    if scale < _MIN_SCALE:
        raise ValueError(
            f"a pinhole camera can show next to nothing of a photo through {lens.model} "
            f"{lens.parameters}; check the focal length and the principal point"
        )
    ideal_from_canvas = torch.eye(3, dtype=torch.float64) * scale
    ideal_from_canvas[:2, 2] = centre - scale * size / 2
    ideal_from_canvas[2, 2] = 1
    return Warp(lens.height, lens.width, ideal_from_canvas, lens.photo_from_ideal)


def canvas_image(
    photo: Image.Image, warp: Warp, *, pitch: float, pixels_each: float
) -> tuple[Image.Image, float]:
    """Return what the canvas shows, and how many canvas pixels each of its pixels stands for.

    It is sampled a little finer than it will be needed; shrinking it is left to the filter of all
    photos.

    Args:
        photo: Upright, of any number of channels.
        warp: How it is shown.
        pitch: Canvas pixels per pixel of the view to be.
        pixels_each: Photo pixels that one pixel of `photo` stands for.
    """
    scale = max(warp.ideal_from_canvas[0, 0].item(), 1.0)
    factor = max(round(pitch * scale / pixels_each / _SAMPLES), 1)
    if factor > 1:
        photo, pixels_each = photo.reduce(factor), pixels_each * factor
    each = min(pixels_each / scale, pitch)
    height, width = math.ceil(warp.height / each), math.ceil(warp.width / each)
    positions = _positions(warp, height, width, each) / pixels_each
    return _sampled(photo, positions, wraps=warp.wraps), each


def _field_deg(ideal: Float[Tensor, "points 2"], lens: Lens) -> float:
    """Return the angle that a centred rectangle of ideal pixels spans along its longer side."""
    rays = rays_through(ideal, lens.intrinsics)
    angles = torch.atan(rays[:, :2])
    return (angles.amax(dim=0) - angles.amin(dim=0)).max().rad2deg().item()


def _largest(fits: Callable[[float], bool]) -> float:
    """Return the largest number up to which something fits, by bisection; 0 if nothing does."""
    low, high = 0.0, 1.0
    while fits(high) and high < 16:
        low, high = high, 2 * high
    for _ in range(_SCALE_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return 1.0 if abs(low - 1) < 1e-6 else low


def _positions(warp: Warp, height: int, width: int, each: float) -> Float[Tensor, "height width 2"]:
    """Return where the photo shows each pixel of a canvas image, linear between nodes."""
    y, x = (_nodes(count, each, end) for count, end in ((height, warp.height), (width, warp.width)))
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    nodes = warp.positions(torch.stack((columns, rows), dim=-1)).float()
    between = functional.interpolate(
        nodes.permute(2, 0, 1)[None], (height, width), mode="bilinear", align_corners=True
    )
    return between[0].permute(1, 2, 0)


def _nodes(count: int, each: float, end: int) -> Float[Tensor, " nodes"]:
    """Return canvas positions from the first pixel's centre to the last one's, evenly apart."""
    nodes = torch.linspace(0.5, count - 0.5, -(-count // _NODE_PX) + 1, dtype=torch.float64)
    # The last pixel may reach beyond the canvas, where the photo has nothing to show.
    return (nodes * each).clamp(max=end)


def _sampled(
    photo: Image.Image, positions: Float[Tensor, "rows columns 2"], *, wraps: bool
) -> Image.Image:
    """Return a photo's colours between its pixels (bicubic)."""
    values = np.asarray(photo)
    if wraps:
        # Two pixels are what bicubic interpolation looks at on either side.
        positions = torch.stack((positions[..., 0] % photo.width + 2, positions[..., 1]), dim=-1)
        values = np.pad(values, ((0, 0), (2, 2), *((0, 0),) * (values.ndim - 2)), mode="wrap")
    channels = torch.from_numpy(np.array(values)).view(*values.shape[:2], -1)
    size = positions.new_tensor([channels.shape[1], channels.shape[0]])
    sampled = functional.grid_sample(
        channels.permute(2, 0, 1)[None].float(),
        (positions * (2 / size) - 1)[None],
        mode="bicubic",
        padding_mode="border",
        align_corners=False,
    )
    pixels = sampled[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
    return Image.fromarray(pixels[..., 0] if values.ndim == 2 else pixels)
