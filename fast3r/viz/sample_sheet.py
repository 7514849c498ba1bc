"""A picture of training samples: a row of photos for each, and below it their depth."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw

from fast3r.data.frame import Frame
from fast3r.data.sample import Sample, frame_points
from fast3r.viz.colormaps import magma

_BACKGROUND = (246, 246, 244)
_TEXT_COLOR = (60, 60, 60)
_UNKNOWN = np.array([200, 200, 200], np.uint8)
_CAPTION_HEIGHT = 18
_GAP = 4


class SheetRow(NamedTuple):
    """One sample."""

    caption: str
    """What is written above it."""

    frames: Sequence[Frame]
    """Its photos; those without depth have none below them."""


def sample_sheet(rows: Sequence[SheetRow], *, height: int = 160) -> Image.Image:
    """Return a picture of samples, one below the other.

    Near is bright; the colours of depth mean the same within a sample; grey is no depth.

    Args:
        rows: The samples, one at least.
        height: Of each photo and each depth map in the picture, in pixels.
    """
    pictures = [_row_picture(row, height) for row in rows]
    width = max(picture.width for picture in pictures)
    sheet = Image.new("RGB", (width, sum(picture.height for picture in pictures)), _BACKGROUND)
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet


def frames_of(sample: Sample) -> list[list[Frame]]:
    """Return the views of each scene of a sample as frames, named by their place."""
    images = (sample.images.movedim(2, -1) * 255).round().to(torch.uint8).numpy()
    depth = frame_points(sample.points, sample.world_from_camera)[..., 2]
    depth = torch.where(sample.valid, depth, 0).float().numpy()
    intrinsics, poses = sample.intrinsics.numpy(), sample.world_from_camera.numpy()
    scenes, views = images.shape[:2]
    return [
        [
            Frame(str(j), images[i, j], depth[i, j], intrinsics[i, j], poses[i, j])
            for j in range(views)
        ]
        for i in range(scenes)
    ]


def _row_picture(row: SheetRow, height: int) -> Image.Image:
    photos = [Image.fromarray(frame.image) for frame in row.frames]
    widths = [max(round(photo.width * height / photo.height), 1) for photo in photos]
    size = (sum(widths) + _GAP * len(widths), _CAPTION_HEIGHT + 2 * (height + _GAP))
    picture = Image.new("RGB", size, _BACKGROUND)
    # Fonts that are always there know little else.
    caption = row.caption.encode("ascii", "replace").decode()
    ImageDraw.Draw(picture).text((_GAP, 3), caption, fill=_TEXT_COLOR)
    nearest = _nearness_range([frame.depth for frame in row.frames if frame.depth is not None])
    left = 0
    for frame, photo, width in zip(row.frames, photos, widths, strict=True):
        picture.paste(photo.resize((width, height)), (left, _CAPTION_HEIGHT))
        if frame.depth is not None:
            colors = Image.fromarray(_depth_colors(frame.depth, *nearest))
            place = (left, _CAPTION_HEIGHT + height + _GAP)
            picture.paste(colors.resize((width, height), Image.Resampling.NEAREST), place)
        left += width + _GAP
    return picture


def _nearness_range(depths: list[Float32[np.ndarray, "_height _width"]]) -> tuple[float, float]:
    """Return between which inverse depths the middle 96 % of all pixels lie."""
    known = np.concatenate([depth[depth > 0] for depth in depths] or [np.zeros(0, np.float32)])
    if not len(known):
        return 0.0, 1.0
    low, high = np.quantile(1 / known, [0.02, 0.98]).tolist()
    return low, high


def _depth_colors(
    depth: Float32[np.ndarray, "height width"], low: float, high: float
) -> UInt8[np.ndarray, "height width 3"]:
    known = depth > 0
    nearness = 1 / np.where(known, depth, np.float32(1))
    level = (nearness - low) / max(high - low, 1e-12)
    colors = magma(torch.from_numpy(level)).numpy()
    return np.where(known[..., None], colors, _UNKNOWN)
