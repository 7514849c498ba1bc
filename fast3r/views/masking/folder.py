"""A folder of masks beside the photos: which mask belongs to which photo, and reading it.

Pixels that are not zero are kept, or with `keeps="black"` those that are. A mask is drawn on the
photo as it is seen, upright.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from fast3r.views.sources import PHOTO_SUFFIXES, MaskKeeps, PhotoFile

_ASPECT_TOLERANCE = 0.03
"""Masks may be smaller than their photos; rounding changes the aspect of small ones a little."""

_LEAST_KEPT = 0.01
"""A photo of which a mask leaves a smaller share is left out."""

_LOSSY_FORMATS = ("JPEG", "MPO", "WEBP")
"""Their black is not quite zero, so that white begins at half."""


@dataclass(frozen=True)
class MaskFolder:
    """The masks in a folder."""

    folder: Path
    """Where they are."""

    paths: dict[str, Path]
    """By name: the path from the folder, without its last ending."""

    keeps: MaskKeeps
    """What belongs to the scene in them."""

    @classmethod
    def find(cls, folder: Path, keeps: MaskKeeps = "white") -> "MaskFolder":
        """Return the masks in a folder and the folders in it.

        Raises:
            ValueError: There is no such folder, it has no images, two masks have one name, or
                `keeps` is unknown.
        """
        if keeps not in ("white", "black"):
            raise ValueError(f"masks_keep must be white or black, got {keeps!r}")
        if not folder.is_dir():
            raise ValueError(f"masks must be a folder; {folder} is not")
        paths: dict[str, Path] = {}
        for path in sorted(folder.rglob("[!.]*")):
            if path.suffix.lower() in PHOTO_SUFFIXES:
                key = path.relative_to(folder).with_suffix("").as_posix()
                if key in paths:
                    raise ValueError(
                        f"two masks have one name: {paths[key]} and {path}; remove one"
                    )
                paths[key] = path
        if not paths:
            raise ValueError(
                f"there are no masks in {folder}: it holds no images; "
                "'fast3r mask PHOTOS --output DIR' makes some"
            )
        return cls(folder, paths, keeps)

    def of(self, name: str) -> Path | None:
        """Return the mask of a photo or frame: for `a.jpg`, `a.jpg.png` or `a.png` (any image)."""
        return self.paths.get(name) or self.paths.get(_stem(name))

    def given(self, photo: PhotoFile) -> PhotoFile:
        """Return a photo with its mask, if it has one.

        Raises:
            ValueError: The mask is the photo itself.
        """
        mask = self.of(photo.name)
        if mask is not None and mask.resolve() == photo.path.resolve():
            raise ValueError(
                f"{mask} is a photo and cannot be its own mask; masks need a folder of their own"
            )
        return replace(photo, mask_path=mask, mask_keeps=self.keeps)

    def check_names(self, names: Sequence[str]) -> None:
        """Accept masks for all photos, masks for some of them, and masks for more than them.

        Raises:
            ValueError: No mask belongs to a photo, or photos without mask meet masks without photo.
        """
        bare = [name for name in names if self.of(name) is None]
        if len(bare) == len(names):
            raise ValueError(
                f"none of the {len(self.paths)} masks in {self.folder} is named like a photo, "
                f"such as {_as_mask(names[0])}; the first is {min(self.paths.values()).name}"
            )
        wanted = {key for name in names for key in (name, _stem(name))}
        idle = sorted(path for key, path in self.paths.items() if key not in wanted)
        if bare and idle:
            raise ValueError(
                f"{_count(bare, 'photo')} no mask, such as {bare[0]}, while {_count(idle, 'mask')} "
                f"no photo, such as {idle[0].relative_to(self.folder)}; name the mask of "
                f"{bare[0]} {_as_mask(bare[0])}, or remove the masks that have no photo"
            )


def check_mask(file: PhotoFile, size: tuple[int, int], orientation: int) -> None:
    """Accept a mask that is whole, has the photo's shape, and leaves something of it.

    Raises:
        UnreadablePhotoError: It cannot be read, has another shape, or leaves too little.
    """
    mask = read_mask(file, size, orientation)
    if mask is not None:
        check_kept(np.asarray(mask) > 0)


def check_kept(mask: Bool[np.ndarray, "height width"], patch: int = 1) -> None:
    """Accept a mask that leaves at least 1 % of a photo, and half of some patch of the network.

    Raises:
        UnreadablePhotoError: It leaves less.
    """
    rows, columns = mask.shape[0] // patch, mask.shape[1] // patch
    patches = mask[: rows * patch, : columns * patch].reshape(rows, patch, columns, patch)
    if mask.mean() < _LEAST_KEPT or patches.mean(axis=(1, 3)).max() < 0.5:
        raise UnreadablePhotoError(
            f"its mask keeps {mask.mean():.1%} of it, too little to be used (at least 1 % and one "
            "patch); if white marks what is to go, say masks_keep='black' (--masks-keep black)"
        )


def read_mask(file: PhotoFile, size: tuple[int, int], orientation: int) -> Image.Image | None:
    """Return the mask of a photo, upright, white where it keeps it; None if it has none.

    Args:
        file: With the path of the mask.
        size: Width and height of the photo, upright.
        orientation: Of the photo: a mask that fits only its stored pixels is turned along.

    Raises:
        UnreadablePhotoError: The mask cannot be read, or its shape is not the photo's.
    """
    if file.mask_path is None:
        return None
    with _open_mask(file.mask_path) as image:
        own, photos = _turns(image, size, orientation)
        if not is_whole(file.mask_path, image):
            raise UnreadablePhotoError("the file is cut short")
        image.load()
        kept = _not_black(image)
        white = Image.fromarray(kept if file.mask_keeps == "white" else ~kept).convert("L")
        return upright(upright(white, stored_orientation(image, own)), photos)


@contextmanager
def _open_mask(path: Path) -> Iterator[Image.Image]:
    try:
        with open_image(path) as image:
            yield image
    except UnreadablePhotoError as error:
        raise UnreadablePhotoError(f"its mask {path.name} cannot be used: {error}") from error


def _turns(image: Image.Image, size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return the mask's own orientation, and the photo's if that is needed to fit the photo."""
    own = read_exif(image, max(image.size)).orientation
    width, height = stored_size(image)
    if swaps_axes(own):
        width, height = height, width
    if _fits(width, height, size):
        return own, 1
    if swaps_axes(orientation) and _fits(height, width, size):
        return own, orientation
    raise UnreadablePhotoError(
        f"its shape of {width}x{height} px is not the photo's of {size[0]}x{size[1]} px"
    )


def _not_black(image: Image.Image) -> Bool[np.ndarray, "height width"]:
    """Return where any colour is not black and the mask is not transparent."""
    black = 127 if image.format in _LOSSY_FORMATS else 0
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    values, bands = np.asarray(image), image.getbands()
    if values.ndim == 2:
        return values > black
    if bands[-1] == "A":
        return (values[..., :-1] > black).any(-1) & (values[..., -1] > black)
    return np.asarray((values > black).any(-1))


def _fits(width: int, height: int, size: tuple[int, int]) -> bool:
    aspect = width / height * size[1] / size[0]
    return abs(aspect - 1) < _ASPECT_TOLERANCE


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _as_mask(name: str) -> str:
    return f"{name}.png"


def _count(names: Sequence[object], noun: str) -> str:
    return f"1 {noun} has" if len(names) == 1 else f"{len(names)} {noun}s have"
