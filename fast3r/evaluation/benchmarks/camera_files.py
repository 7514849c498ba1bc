"""Photos with cameras in the files that programs of the field write."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps

from fast3r.camera_files.find import find_camera_file, read_camera_file
from fast3r.data.frame import BrokenFrameError, Frame

LAYOUTS = """
cameras.json         of fast3r, the photos beside it or in images/
cameras.json         with images[]: file, K (top-left pixel centre at 0), c2w
transforms.json      of nerfstudio, instant-ngp or NeRF's synthetic scenes
sparse/0/            a COLMAP model, binary or text, and images/; or sparse/, or right here
(or folders with one of these each)
"""
"""What is understood, for messages."""

_ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class PosedPhoto:
    """A photo that is not read yet, and its camera."""

    path: Path
    """Where it is."""

    size: tuple[int, int] | None
    """Width and height that the intrinsics are for; None: those of the photo."""

    intrinsics: Float[np.ndarray, "3 3"]
    """Of that size; pixel centres at +0.5."""

    world_from_camera: Float[np.ndarray, "4 4"]
    """Rigid pose, OpenCV axes."""


def find_cameras(folder: Path) -> Sequence[PosedPhoto] | None:
    """Return the posed photos of a folder in the order of its file; None if it has no such file.

    Raises:
        ValueError: The file is not as its program writes it.
    """
    path = find_camera_file(folder)
    if path is None:
        return None
    records = read_camera_file(
        path, photo_size=lambda name: _stored_size(_photo_path(folder, name))
    )
    return [
        PosedPhoto(
            _photo_path(folder, record.name),
            record.calibration.size,
            record.calibration.intrinsics,
            record.world_from_camera,
        )
        for record in records
    ]


def read_frame(photo: PosedPhoto) -> Frame:
    """Return a photo with its camera, upright as the camera is.

    Raises:
        BrokenFrameError: It cannot be read, or is not of the camera's shape.
    """
    try:
        with Image.open(photo.path) as stored:
            image = _as_calibrated(stored, photo)
    except OSError as error:
        raise BrokenFrameError(f"{photo.path} cannot be read: {error}") from error
    width, height = image.size
    intrinsics = photo.intrinsics.copy()
    if photo.size is not None:
        intrinsics[0] *= width / photo.size[0]
        intrinsics[1] *= height / photo.size[1]
    pixels = np.array(image.convert("RGB"))
    return Frame(photo.path.name, pixels, None, intrinsics, photo.world_from_camera)


def _as_calibrated(stored: Image.Image, photo: PosedPhoto) -> Image.Image:
    """Return the photo turned as EXIF asks, or as stored if only that fits the camera's shape."""
    upright = ImageOps.exif_transpose(stored)
    fitting = [i for i in (upright, stored) if photo.size is None or _fits(i.size, photo.size)]
    if not fitting:
        assert photo.size is not None
        raise BrokenFrameError(
            f"{photo.path} is {upright.width}x{upright.height} px, but its camera is for "
            f"{photo.size[0]}x{photo.size[1]} px"
        )
    fitting[0].load()
    return fitting[0]


def _fits(size: tuple[int, int], wanted: tuple[int, int]) -> bool:
    ratio = (size[0] / size[1]) / (wanted[0] / wanted[1])
    return abs(math.log(ratio)) < _ASPECT_TOLERANCE


def _stored_size(photo: Path) -> tuple[int, int]:
    try:
        with Image.open(photo) as image:
            return image.size
    except OSError as error:
        raise ValueError(f"{photo} cannot be read: {error}") from error


def _photo_path(folder: Path, name: str) -> Path:
    """Return where a photo is: beside the file or in images/, its suffix maybe left out."""
    for path in (folder / name, folder / "images" / name, (folder / name).with_suffix(".png")):
        if path.is_file():
            return path
    return folder / name
