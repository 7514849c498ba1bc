"""One photo file becomes one view, or several of a panorama."""

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

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
from fast3r.views.masking.folder import read_mask
from fast3r.views.panorama import Face, faces_of, says_panorama
from fast3r.views.pixels import hidden_by, pixels_and_mask
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

    transparent: bool = False
    """Whether parts of it may be transparent."""

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
    def whole_size(self) -> tuple[int, int]:
        """Width and height of the photo, upright: of a panorama, not of its face."""
        if self.face is None:
            return self.resize.original_width, self.resize.original_height
        return self.face.panorama_width, self.face.panorama_height

    @property
    def may_be_masked(self) -> bool:
        """Whether parts of its view may not belong to the scene."""
        network = (self.resize.height, self.resize.width)
        padded = (self.resize.content_height, self.resize.content_width) != network
        return padded or self.transparent or self.file.mask_path is not None


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
        transparent = image.has_transparency_data
        if optics == "auto":
            optics = "equirectangular" if says_panorama(image) else None
    if not whole:
        raise UnreadablePhotoError("the file is cut short")
    if swaps_axes(exif.orientation):
        width, height = height, width
    plan = partial(plan_resize, size=size, patch=patch)
    if optics == "equirectangular":
        faces = faces_of(file.name, width=width, height=height)
        resize = plan(faces[0].side_px, faces[0].side_px)
        photo = Photo(file, resize, exif, transparent=transparent)
        return [replace(photo, face=face, warp=face.warp) for face in faces]
    photo = Photo(file, plan(height, width), exif, transparent=transparent)
    if optics is None:
        return [photo]
    lens = fitted_lens(optics, width=width, height=height, name=file.name)
    if lens.is_pinhole:
        return [photo]
    return [replace(photo, lens=lens, warp=lens_warp(lens, max_field_deg=max_field_deg))]


def read_view(photo: Photo) -> View:
    """Return the view of a photo, decoded.

    Raises:
        UnreadablePhotoError: The photo or its mask cannot be decoded.
    """
    drawn = read_mask(photo.file, photo.whole_size, photo.exif.orientation)
    with open_image(photo.file.path) as image:
        pixels, mask = _decoded(image, photo, drawn)
    return View(pixels=pixels, mask=mask, **photo.facts)


def read_again(view: View, *, size: int) -> View | None:
    """Return a view from its photo at another size; None if that is gone, changed, or a video.

    It is made in the same way, but not for a network: of a wide lens it shows more.
    """
    if view.source is None or view.is_video_frame:
        return None
    name = view.name if view.face is None else view.face.panorama
    optics = view.lens if view.face is None else "equirectangular"
    file = PhotoFile(name, view.source)
    same = (view.name, view.original_height, view.original_width)
    with suppress(UnreadablePhotoError):
        for photo in inspect_photos(
            file, size=size, patch=1, optics=optics, max_field_deg=WIDEST_FIELD_DEG
        ):
            if (photo.name, photo.resize.original_height, photo.resize.original_width) == same:
                return read_view(photo)
    return None


def _decoded(
    image: Image.Image, photo: Photo, drawn: Image.Image | None
) -> tuple[UInt8[Tensor, "height width 3"], Bool[Tensor, "height width"] | None]:
    """Return the pixels and the mask of an opened photo, given the mask drawn on it, upright."""
    pixels_each = _draft(image, photo.resize)
    image.load()
    orientation = stored_orientation(image, photo.exif.orientation)
    rgb, opacity = rgb_and_alpha(image)
    opacity = hidden_by(drawn, opacity, size=rgb.size, orientation=orientation)
    if photo.warp is None:
        return pixels_and_mask(rgb, opacity, photo.resize, orientation, pixels_each=pixels_each)
    pitch = photo.resize.pitch
    show = partial(canvas_image, warp=photo.warp, pitch=pitch, pixels_each=pixels_each)
    shown, shown_each = show(upright(rgb, orientation))
    if opacity is not None:
        opacity, _ = show(upright(opacity, orientation))
    return pixels_and_mask(shown, opacity, photo.resize, pixels_each=shown_each)


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
