"""A folder of masks beside the photos: which mask belongs to which photo, and reading it.

Pixels that are not zero are kept. A mask is drawn on the photo as it is seen, upright.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool
from PIL import Image

from fast3r.views.decode import (
    UnreadablePhotoError,
    open_image,
    stored_orientation,
    stored_size,
    swaps_axes,
    upright,
)
from fast3r.views.exif import read_exif
from fast3r.views.integrity import is_whole
from fast3r.views.resize import Resize
from fast3r.views.sources import PHOTO_SUFFIXES, PhotoFile

_ASPECT_TOLERANCE = 0.03
"""Masks may be smaller than their photos; rounding changes the aspect of small ones a little."""


def find_masks(folder: Path, photos: Sequence[PhotoFile]) -> list[PhotoFile]:
    """Return the photos with their masks: for `a.jpg`, `a.png` (any image) or `a.jpg.png`.

    Photos without a mask are used whole.

    Raises:
        ValueError: There is no such folder, no mask belongs to a photo, or two have one name.
    """
    if not folder.is_dir():
        raise ValueError(f"masks must be a folder; {folder} is not")
    masks: dict[str, Path] = {}
    for path in sorted(folder.rglob("[!.]*")):
        if path.suffix.lower() in PHOTO_SUFFIXES:
            key = path.relative_to(folder).with_suffix("").as_posix()
            if key in masks:
                raise ValueError(f"two masks have one name: {masks[key]} and {path}; remove one")
            masks[key] = path
    found = [replace(photo, mask_path=_mask_of(photo.name, masks)) for photo in photos]
    if not any(photo.mask_path for photo in found):
        raise ValueError(
            f"none of the {len(masks)} masks in {folder} is named like a photo, "
            f"such as {photos[0].path}"
        )
    return found


def check_mask(path: Path, resize: Resize, orientation: int) -> None:
    """Accept a mask whose file is whole and whose shape is the photo's, without decoding it.

    Raises:
        UnreadablePhotoError: The mask cannot be read, or its shape is not the photo's.
    """
    with _open_mask(path) as image:
        _turns(image, resize, orientation)
        if not is_whole(path, image):
            raise UnreadablePhotoError("the file is cut short")


def read_mask(path: Path, resize: Resize, orientation: int) -> Bool[np.ndarray, "height width"]:
    """Return where a mask keeps its photo, resized like the photo's content by nearest pixel.

    `orientation` is the photo's: a mask that fits only its stored pixels is turned along.

    Raises:
        UnreadablePhotoError: The mask cannot be read, or its shape is not the photo's.
    """
    with _open_mask(path) as image:
        own, photos = _turns(image, resize, orientation)
        image.load()
        mask = upright(upright(_kept(image), stored_orientation(image, own)), photos)
    x, y = mask.width / resize.original_width, mask.height / resize.original_height
    left, top, right, bottom = resize.box
    box = left * x, top * y, min(right * x, mask.width), min(bottom * y, mask.height)
    content = (resize.content_width, resize.content_height)
    return np.asarray(mask.resize(content, Image.Resampling.NEAREST, box=box)) > 0


@contextmanager
def _open_mask(path: Path) -> Iterator[Image.Image]:
    try:
        with open_image(path) as image:
            yield image
    except UnreadablePhotoError as error:
        raise UnreadablePhotoError(f"its mask {path.name} cannot be used: {error}") from error


def _turns(image: Image.Image, resize: Resize, orientation: int) -> tuple[int, int]:
    """Return the mask's own orientation, and the photo's if that is needed to fit the photo."""
    own = read_exif(image, max(image.size)).orientation
    width, height = stored_size(image)
    if swaps_axes(own):
        width, height = height, width
    if _fits(width, height, resize):
        return own, 1
    if swaps_axes(orientation) and _fits(height, width, resize):
        return own, orientation
    raise UnreadablePhotoError(
        f"its shape of {width}x{height} px is not "
        f"the photo's of {resize.original_width}x{resize.original_height} px"
    )


def _mask_of(name: str, masks: Mapping[str, Path]) -> Path | None:
    return masks.get(name) or masks.get(PurePosixPath(name).with_suffix("").as_posix())


def _kept(image: Image.Image) -> Image.Image:
    """Return white where any colour is not zero and the mask is not transparent."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    values, bands = np.asarray(image), image.getbands()
    if values.ndim == 2:
        kept = values != 0
    elif bands[-1] == "A":
        kept = values[..., :-1].any(-1) & (values[..., -1] != 0)
    else:
        kept = values.any(-1)
    return Image.fromarray(np.where(kept, np.uint8(255), np.uint8(0)))


def _fits(width: int, height: int, resize: Resize) -> bool:
    aspect = width / height * resize.original_height / resize.original_width
    return abs(aspect - 1) < _ASPECT_TOLERANCE
