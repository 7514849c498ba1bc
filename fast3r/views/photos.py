"""One photo file becomes one view."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image, ImageChops

from fast3r.geometry.lenses import Lens
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
from fast3r.views.masks import read_mask
from fast3r.views.panorama import Face, faces_of, says_panorama
from fast3r.views.resize import Resize, plan_resize
from fast3r.views.sources import RAW_SUFFIXES, PhotoFile
from fast3r.views.undistort import (
    NETWORK_FIELD_DEG,
    WIDEST_FIELD_DEG,
    Warp,
    canvas_image,
    fitted_lens,
    lens_warp,
)
from fast3r.views.view import View

Optics = Lens | Literal["equirectangular"]
"""How a photo was taken, where not by a pinhole camera; equirectangular are panoramas of the whole
sphere."""

_GREY = 128
"""Padding: zero to a network that takes colours from -1 to 1."""

_BACK = {turn: {6: 8, 8: 6}.get(turn, turn) for turn in range(9)}
"""The EXIF orientation that undoes each; all but quarter turns undo themselves."""

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

    lens: Lens | None = None
    """The lens that is made up for, in pixels of this photo."""

    face: Face | None = None
    """The part of the photo that is shown, if it is a panorama."""

    warp: Warp | None = None
    """How a pinhole camera would show it; None: as it is."""

    @property
    def name(self) -> str:
        """Name of the view."""
        return self.file.name if self.face is None else self.face.name

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of its `View` that need no pixels."""
        original_from_network = self.resize.original_from_network
        if self.warp is not None:
            ideal_from_network = self.warp.ideal_from_canvas @ original_from_network.double()
            original_from_network = ideal_from_network.float()
        return {
            "original_from_network": original_from_network,
            "name": self.name,
            "original_height": self.resize.original_height,
            "original_width": self.resize.original_width,
            "source": self.file.path,
            "camera_key": self.exif.camera_key,
            "exif_focal_px": self.exif.focal_px if self.warp is None else None,
            "time_s": self.exif.time_s,
            "gps": self.exif.gps,
            "lens": self.lens,
            "face": self.face,
        }

    @property
    def seen_whole(self) -> Resize:
        """The same with the size of the whole photo, which is that of its mask."""
        if self.face is None:
            return self.resize
        height, width = self.face.panorama_height, self.face.panorama_width
        return replace(self.resize, original_height=height, original_width=width)


def inspect_photo(file: PhotoFile, *, size: int, patch: int) -> Photo:
    """Return what the header of a pinhole camera's photo tells, having made sure it is whole.

    Raises:
        UnreadablePhotoError: The file cannot be used.
    """
    (photo,) = inspect_photos(file, size=size, patch=patch, optics=None)
    return photo


def inspect_photos(
    file: PhotoFile,
    *,
    size: int,
    patch: int,
    optics: Optics | Literal["auto"] | None = "auto",
    max_field_deg: float = NETWORK_FIELD_DEG,
) -> list[Photo]:
    """Return what a photo's header tells, having made sure that the file is whole.

    A panorama becomes several photos, its faces.

    Args:
        file: Where it is.
        size: Long side of the view to be.
        patch: Its sides are multiples of this.
        optics: How it was taken; None is by a pinhole camera. "auto" is a panorama where its
            metadata says so, else a pinhole camera.
        max_field_deg: How much of what a lens shows is used, see `lens_warp`.

    Raises:
        UnreadablePhotoError: The file cannot be used.
        ValueError: It does not go with its lens.
    """
    if file.path.suffix.lower() in RAW_SUFFIXES:
        raise UnreadablePhotoError("camera raw files are not read; develop it to JPEG or TIFF")
    with open_image(file.path) as image:
        whole = is_whole(file.path, image)
        width, height = stored_size(image)
        exif = read_exif(image, max(width, height))
        if optics == "auto":
            optics = "equirectangular" if says_panorama(image) else None
    if not whole:
        raise UnreadablePhotoError("the file is cut short")
    if swaps_axes(exif.orientation):
        width, height = height, width
    if optics == "equirectangular":
        return _face_photos(file, exif, width, height, size, patch)
    photo = Photo(file, _plan(height, width, size, patch), exif)
    if optics is None:
        return [photo]
    lens = fitted_lens(optics, width=width, height=height, name=file.name)
    if lens.is_pinhole:
        return [photo]
    return [replace(photo, lens=lens, warp=lens_warp(lens, max_field_deg=max_field_deg))]


def _face_photos(
    file: PhotoFile, exif: Exif, width: int, height: int, size: int, patch: int
) -> list[Photo]:
    try:
        faces = faces_of(file.name, width=width, height=height)
    except ValueError as error:
        raise UnreadablePhotoError(str(error)) from error
    resize = _plan(faces[0].side_px, faces[0].side_px, size, patch)
    return [Photo(file, resize, exif, face=face, warp=face.warp) for face in faces]


def _plan(height: int, width: int, size: int, patch: int) -> Resize:
    try:
        return plan_resize(height, width, size=size, patch=patch)
    except ValueError as error:
        raise UnreadablePhotoError(str(error)) from error


def read_view(photo: Photo) -> View:
    """Return the view of a photo, decoded.

    Raises:
        UnreadablePhotoError: The photo or its mask cannot be decoded.
    """
    drawn = read_mask(photo.file, photo.seen_whole, photo.exif.orientation)
    with open_image(photo.file.path) as image:
        content, kept = _decoded(image, photo, drawn)
    pixels, mask = pad(content, kept, photo.resize)
    return View(pixels=pixels, mask=mask, **photo.facts)


def read_again(view: View, *, size: int, patch: int = 1) -> View | None:
    """Return a view at another size, not for a network; None if its photo has changed.

    It is made in the same way, but of a wide lens it shows more.

    Raises:
        UnreadablePhotoError: The photo cannot be read.
    """
    assert view.source is not None
    name = view.name if view.face is None else view.face.panorama
    optics = view.lens if view.face is None else "equirectangular"
    photos = inspect_photos(
        PhotoFile(name, view.source),
        size=size,
        patch=patch,
        optics=optics,
        max_field_deg=WIDEST_FIELD_DEG,
    )
    same = (view.name, view.original_height, view.original_width)
    for photo in photos:
        if (photo.name, photo.resize.original_height, photo.resize.original_width) == same:
            return read_view(photo)
    return None


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


def masked_content(
    rgb: Image.Image,
    opacity: Image.Image | None,
    drawn: Image.Image | None,
    resize: Resize,
    orientation: int,
    *,
    pixels_each: float = 1,
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"] | None]:
    """Return the content of a network image, and what of it belongs to the scene, None if all.

    What does not belong to the scene does not colour the pixels beside it: Pillow weighs colours by
    their opacity.

    Args:
        rgb: The photo as stored.
        opacity: Of the photo, if it has any.
        drawn: The photo's mask, upright, at any resolution.
        resize: How the photo becomes network size.
        orientation: How the photo is turned upright.
        pixels_each: Photo pixels that one pixel of `rgb` stands for.
    """
    plain = np.asarray(shrink(rgb, resize, orientation, pixels_each=pixels_each))
    if drawn is not None:
        drawn = upright(drawn, _BACK[orientation]).resize(rgb.size, Image.Resampling.NEAREST)
        opacity = drawn if opacity is None else ImageChops.darker(opacity, drawn)
    if opacity is None:
        return plain, None
    both = Image.merge("RGBA", (*rgb.split(), opacity))
    seen = np.asarray(shrink(both, resize, orientation, pixels_each=pixels_each))
    kept = seen[..., 3] > 127
    return np.where(kept[..., None], seen[..., :3], plain), kept


def _decoded(
    image: Image.Image, photo: Photo, drawn: Image.Image | None
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"] | None]:
    """Return an opened photo as content of the network image, and what of it belongs."""
    resize = photo.resize
    pixels_each = _draft(image, resize)
    image.load()
    orientation = stored_orientation(image, photo.exif.orientation)
    rgb, opacity = rgb_and_alpha(image)
    if photo.warp is not None:
        rgb, opacity, pixels_each = straightened(
            upright(rgb, orientation),
            opacity and upright(opacity, orientation),
            drawn,
            photo.warp,
            resize,
            pixels_each=pixels_each,
        )
        drawn, orientation = None, 1
    return masked_content(rgb, opacity, drawn, resize, orientation, pixels_each=pixels_each)


def straightened(
    rgb: Image.Image,
    opacity: Image.Image | None,
    drawn: Image.Image | None,
    warp: Warp,
    resize: Resize,
    *,
    pixels_each: float = 1,
) -> tuple[Image.Image, Image.Image | None, float]:
    """Return a photo as a pinhole camera would show it, its opacity, and what a pixel stands for.

    Args:
        rgb: The photo, upright.
        opacity: Of the photo, if it has any.
        drawn: The photo's mask, upright, at any resolution.
        warp: How the photo is shown.
        resize: How the result becomes network size.
        pixels_each: Photo pixels that one pixel of `rgb` stands for.
    """
    if drawn is not None:
        drawn = drawn.resize(rgb.size, Image.Resampling.NEAREST)
        opacity = drawn if opacity is None else ImageChops.darker(opacity, drawn)
    shown, each = canvas_image(rgb, warp, pitch=resize.pitch, pixels_each=pixels_each)
    if opacity is not None:
        opacity, _ = canvas_image(opacity, warp, pitch=resize.pitch, pixels_each=pixels_each)
    return shown, opacity, each


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
