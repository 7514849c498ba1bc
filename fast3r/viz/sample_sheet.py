"""A picture of training samples: a row of photos for each, and below it their depth."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw

from fast3r.data.frame import Frame
from fast3r.data.sample import Sample, frame_points
from fast3r.viz.colormaps import level_pictures
from fast3r.viz.lettering import BACKGROUND, TEXT_COLOR, font, plain

_CAPTION_HEIGHT = 18
_FONT_PX = 10
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
    sheet = Image.new("RGB", (width, sum(picture.height for picture in pictures)), BACKGROUND)
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
    picture = Image.new("RGB", size, BACKGROUND)
    caption = plain(row.caption)
    ImageDraw.Draw(picture).text((_GAP, 3), caption, fill=TEXT_COLOR, font=font(_FONT_PX))
    left = 0
    for photo, width, depth in zip(photos, widths, _depth_pictures(row.frames), strict=True):
        picture.paste(photo.resize((width, height)), (left, _CAPTION_HEIGHT))
        if depth is not None:
            place = (left, _CAPTION_HEIGHT + height + _GAP)
            picture.paste(depth.resize((width, height), Image.Resampling.NEAREST), place)
        left += width + _GAP
    return picture


def _depth_pictures(frames: Sequence[Frame]) -> list[Image.Image | None]:
    """Return a picture of the depth of each frame, None where there is none."""
    depths = [torch.from_numpy(frame.depth) for frame in frames if frame.depth is not None]
    if not depths:
        return [None] * len(frames)
    known = [depth > 0 for depth in depths]
    drawn = iter(level_pictures([1 / depth for depth in depths], known))
    return [
        None if frame.depth is None else Image.fromarray(next(drawn).numpy()) for frame in frames
    ]
