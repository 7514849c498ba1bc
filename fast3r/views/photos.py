"""One photo file becomes one view."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image

from fast3r.views.decode import (
    UnreadablePhotoError,
    open_image,
    rgb_and_alpha,
    stored_orientation,
    stored_size,
    swaps_axes,
    upright,
)
from fast3r.views.exif import Exif, read_exif
from fast3r.views.integrity import is_whole
from fast3r.views.masks import check_mask, read_mask
from fast3r.views.resize import Resize, plan_resize
from fast3r.views.sources import RAW_SUFFIXES, PhotoFile
from fast3r.views.view import View

_GREY = 128
"""Padding: zero to a network that takes colours from -1 to 1."""

_MIN_SHRINK_AFTER_DRAFT = 2
"""JPEGs are shrunk while decoding, but the last halving is left to the better filter.

On 12-megapixel photos this halves the time and changes colours by 0.2 of 255 on average.
"""


@dataclass(frozen=True)
class Photo:
    """All that is known of a photo short of its pixels."""

    file: PhotoFile
    """Where it is."""

    resize: Resize
    """How it becomes network size."""

    exif: Exif
    """What its EXIF says."""

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of its `View` that need no pixels."""
        return {
            "original_from_network": self.resize.original_from_network,
            "name": self.file.name,
            "original_height": self.resize.original_height,
            "original_width": self.resize.original_width,
            "source": self.file.path,
            "camera_key": self.exif.camera_key,
            "exif_focal_px": self.exif.focal_px,
            "time_s": self.exif.time_s,
            "gps": self.exif.gps,
        }


def inspect_photo(file: PhotoFile, *, size: int, patch: int) -> Photo:
    """Return what a photo's header tells, having made sure that it and its mask are whole.

    Raises:
        UnreadablePhotoError: The file cannot be used.
    """
    if file.path.suffix.lower() in RAW_SUFFIXES:
        raise UnreadablePhotoError("camera raw files are not read; develop it to JPEG or TIFF")
    with open_image(file.path) as image:
        whole = is_whole(file.path, image)
        stored_width, stored_height = stored_size(image)
        exif = read_exif(image, max(stored_width, stored_height))
    if not whole:
        raise UnreadablePhotoError("the file is cut short")
    if swaps_axes(exif.orientation):
        stored_width, stored_height = stored_height, stored_width
    try:
        resize = plan_resize(stored_height, stored_width, size=size, patch=patch)
    except ValueError as error:
        raise UnreadablePhotoError(str(error)) from error
    if file.mask_path is not None:
        check_mask(file.mask_path, resize, exif.orientation)
    return Photo(file, resize, exif)


def read_view(photo: Photo) -> View:
    """Return the view of a photo, decoded.

    Raises:
        UnreadablePhotoError: The photo or its mask cannot be decoded.
    """
    with open_image(photo.file.path) as image:
        rgb, alpha = _decoded(image, photo.resize, photo.exif.orientation)
    kept = None if alpha is None else np.asarray(alpha) > 127
    if photo.file.mask_path is not None:
        drawn = read_mask(photo.file.mask_path, photo.resize, photo.exif.orientation)
        kept = drawn if kept is None else kept & drawn
    pixels, mask = pad(np.asarray(rgb), kept, photo.resize)
    return View(pixels=pixels, mask=mask, **photo.facts)


def pad(
    content: UInt8[np.ndarray, "content_height content_width 3"],
    kept: Bool[np.ndarray, "content_height content_width"] | None,
    resize: Resize,
) -> tuple[UInt8[torch.Tensor, "height width 3"], Bool[torch.Tensor, "height width"] | None]:
    """Return content amid padding, and the mask of what belongs to the scene, None if all does."""
    left, top = resize.padding
    inside = slice(top, top + resize.content_height), slice(left, left + resize.content_width)
    pixels = np.full((resize.height, resize.width, 3), _GREY, np.uint8)
    pixels[inside] = content
    mask = np.zeros((resize.height, resize.width), bool)
    mask[inside] = True if kept is None else kept
    return torch.from_numpy(pixels), None if mask.all() else torch.from_numpy(mask)


def shrink(
    image: Image.Image, resize: Resize, orientation: int, *, pixels_each: float = 1
) -> Image.Image:
    """Return the content of a network image from a photo as stored, turned upright.

    One pixel of `image` stands for `pixels_each` of the photo, along both axes. The crop is
    centred, so it is the same for every orientation but for the order of the axes.
    """
    left, top, right, bottom = (edge / pixels_each for edge in resize.box)
    width, height = resize.content_width, resize.content_height
    if swaps_axes(orientation):
        left, top, right, bottom, width, height = top, left, bottom, right, height, width
    content = image.resize(
        (width, height),
        Image.Resampling.LANCZOS if resize.pitch > 1 else Image.Resampling.BICUBIC,
        box=(left, top, right, bottom),
        reducing_gap=3.0,
    )
    return upright(content, orientation)


def _decoded(
    image: Image.Image, resize: Resize, orientation: int
) -> tuple[Image.Image, Image.Image | None]:
    """Return colour and opacity of an opened photo as content of the network image."""
    pixels_each = _draft(image, resize)
    image.load()
    orientation = stored_orientation(image, orientation)
    rgb, alpha = rgb_and_alpha(image)
    rgb = shrink(rgb, resize, orientation, pixels_each=pixels_each)
    return rgb, alpha and shrink(alpha, resize, orientation, pixels_each=pixels_each)


def _draft(image: Image.Image, resize: Resize) -> float:
    """Ask a JPEG to decode at a fraction of its size; return photo pixels per decoded pixel.

    The fraction is exact; where it does not divide the size, the last decoded pixel reaches
    beyond the photo.
    """
    factor = resize.pitch / _MIN_SHRINK_AFTER_DRAFT
    if factor < 2:
        return 1
    width, height = image.size
    drafted = image.draft(image.mode, (math.floor(width / factor), math.floor(height / factor)))
    return 1 if drafted is None else width / drafted[1][2]
