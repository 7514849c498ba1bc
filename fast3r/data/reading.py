"""Reading the files that datasets are made of.

Whatever is wrong with a file raises `BrokenFrameError`, which names the file, what was found and
what was expected, so that a loader needs no checks of its own.
"""

import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from fast3r.data.frame import BrokenFrameError, Frame
from fast3r.views.decode import UnreadablePhotoError, open_image, rgb_and_alpha

_UNREADABLE = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises over files that are missing or broken."""

_PFM_HEADER = re.compile(rb"Pf\s+(\d+)\s+(\d+)\s+([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s")

_RIGID_TOLERANCE = 1e-2
"""Poses of some datasets were stored with few digits; a wrong convention is off by far more."""


def read_image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Return the stored pixels of a photo as RGB; EXIF orientation is left aside.

    Datasets give intrinsics for the pixels as stored.

    Raises:
        BrokenFrameError: It is missing or cannot be decoded.
    """
    try:
        with open_image(path) as image:
            return np.array(rgb_and_alpha(image)[0])
    except UnreadablePhotoError as error:
        raise BrokenFrameError(f"{path}: {error}; expected a photo") from error


def read_image_size(path: Path) -> tuple[int, int]:
    """Return width and height of a photo without decoding it.

    Raises:
        BrokenFrameError: It is missing or no image.
    """
    try:
        with open_image(path) as image:
            return image.size
    except UnreadablePhotoError as error:
        raise BrokenFrameError(f"{path}: {error}; expected a photo") from error


def read_mask(path: Path) -> UInt8[np.ndarray, "height width"]:
    """Return the levels of a greyscale image of 8 bits, or 0 and 255 for one of 1 bit.

    Raises:
        BrokenFrameError: It is missing, cannot be decoded, or has another type.
    """
    pixels = _pixels(path, expected="a mask")
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise BrokenFrameError(f"{path}: {_kind(pixels)}; expected a mask of one uint8 channel")
    return pixels


def read_depth_png(path: Path, *, units_per_metre: float) -> Float32[np.ndarray, "height width"]:
    """Return the depths of a 16-bit PNG; 0 stays 0, unknown.

    Args:
        path: The file.
        units_per_metre: Stored value of a depth of one metre (or of one unit of the poses,
            where these have another).

    Raises:
        BrokenFrameError: It is missing, cannot be decoded, or has another type.
    """
    pixels = _pixels(path, expected="a depth map")
    # Older versions of Pillow widen 16 bits to 32.
    if pixels.ndim != 2 or pixels.dtype not in (np.uint16, np.int32):
        raise BrokenFrameError(f"{path}: {_kind(pixels)}; expected a depth map of 16 bits")
    return pixels.astype(np.float32) / np.float32(units_per_metre)


def read_depth_exr(path: Path) -> Float32[np.ndarray, "height width"]:
    """Return the depths of an OpenEXR file of one channel; what is no depth becomes 0.

    Raises:
        BrokenFrameError: It is missing, cannot be decoded, or has several channels.
        ImportError: The package OpenEXR is not installed.
    """
    try:
        import OpenEXR
    except ImportError:
        raise ImportError(
            "depth maps in EXR files need OpenEXR: pip install 'fast3r[train]'"
        ) from None
    # OpenEXR would only say that it cannot open the file.
    if not path.is_file():
        raise BrokenFrameError(f"{path}: no such file; expected a depth map")
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except (RuntimeError, ValueError, OSError) as error:
        raise BrokenFrameError(f"{path}: not a whole OpenEXR file ({error})") from error
    if len(channels) != 1:
        raise BrokenFrameError(f"{path}: has channels {sorted(channels)}; expected one, of depth")
    return without_unknown(next(iter(channels.values())))


def read_depth_pfm(path: Path) -> Float32[np.ndarray, "height width"]:
    """Return the depths of a portable float map of one channel; what is no depth becomes 0.

    Raises:
        BrokenFrameError: It is missing, has another format or another number of bytes.
    """
    content = _content(path, expected="a depth map")
    header = _PFM_HEADER.match(content)
    if header is None:
        raise BrokenFrameError(f"{path}: starts with {content[:16]!r}; expected 'Pf', the size ...")
    width, height, scale = int(header[1]), int(header[2]), float(header[3])
    found = len(content) - header.end()
    if found != 4 * width * height:
        raise BrokenFrameError(
            f"{path}: has {found} bytes of pixels; expected {4 * width * height}, "
            f"for {width}x{height} px"
        )
    # The sign of the scale tells the order of bytes; rows go from the bottom to the top.
    kind = "<f4" if scale < 0 else ">f4"
    pixels = np.frombuffer(content, kind, offset=header.end()).reshape(height, width)
    return without_unknown(pixels[::-1])


def read_arrays(path: Path, *names: str) -> tuple[Shaped[np.ndarray, "..."], ...]:
    """Return arrays of an .npz file in the order of their names.

    Raises:
        BrokenFrameError: It is missing, broken, or has no array of such a name.
    """
    try:
        # NumPy leaves the file open where it is no archive after all.
        with path.open("rb") as stream:
            return _named_arrays(np.load(stream, allow_pickle=False), names, path)
    except BrokenFrameError:
        raise
    except _UNREADABLE as error:
        raise BrokenFrameError(f"{path}: {_reason(error)}; expected arrays {names}") from error


def read_array(path: Path) -> Shaped[np.ndarray, "..."]:
    """Return the array of an .npy file.

    Raises:
        BrokenFrameError: It is missing or broken.
    """
    try:
        with path.open("rb") as stream:
            array = np.load(stream, allow_pickle=False)
    except _UNREADABLE as error:
        raise BrokenFrameError(f"{path}: {_reason(error)}; expected an array") from error
    if not isinstance(array, np.ndarray):
        raise BrokenFrameError(f"{path}: is an archive of arrays; expected one array")
    return array


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, without the space around them.

    Raises:
        BrokenFrameError: It is missing or not text.
    """
    content = _content(path, expected="text")
    try:
        return [line.strip() for line in content.decode().splitlines()]
    except UnicodeDecodeError as error:
        raise BrokenFrameError(f"{path}: not text; {error}") from error


def without_unknown(
    depth: Shaped[np.ndarray, "height width"],
) -> Float32[np.ndarray, "height width"]:
    """Return depths with 0 for what cannot be one: negative, infinite, not a number."""
    depth = np.array(depth, dtype=np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    return depth


def checked_frame(
    name: str,
    image: UInt8[np.ndarray, "height width 3"],
    depth: Float32[np.ndarray, "_height _width"] | None,
    intrinsics: Shaped[np.ndarray, "..."],
    world_from_camera: Shaped[np.ndarray, "..."],
    *,
    source: Path,
) -> Frame:
    """Return the frame of these parts, see `Frame`, if they fit together.

    Args:
        name: Of the frame.
        image: Of the frame.
        depth: Of the frame.
        intrinsics: Of the frame.
        world_from_camera: Of the frame.
        source: File to name in a message: that of the camera.

    Raises:
        BrokenFrameError: Depth has another size than the photo or none is known, or the camera
            is impossible: a focal length that is not positive, or a pose that is not rigid.
    """
    if depth is not None and depth.shape != image.shape[:2]:
        raise BrokenFrameError(
            f"{source}: its photo has {_px(image.shape)} and its depth map {_px(depth.shape)}; "
            "expected one size"
        )
    if depth is not None and not depth.any():
        raise BrokenFrameError(f"{source}: its depth map is empty; expected some depth")
    if not _is_pinhole(intrinsics):
        raise BrokenFrameError(
            f"{source}: its intrinsics are {intrinsics.tolist()}; "
            "expected 3x3 finite numbers with focal lengths above 0"
        )
    if not _is_rigid(world_from_camera):
        raise BrokenFrameError(
            f"{source}: its pose is {world_from_camera.tolist()}; "
            "expected 4x4 finite numbers with a rotation"
        )
    return Frame(name, image, depth, intrinsics, world_from_camera)


def _named_arrays(
    archive: Mapping[str, np.ndarray] | np.ndarray, names: tuple[str, ...], path: Path
) -> tuple[Shaped[np.ndarray, "..."], ...]:
    if not isinstance(archive, Mapping):
        raise BrokenFrameError(f"{path}: is one array; expected an archive of {names}")
    missing = [name for name in names if name not in archive]
    if missing:
        raise BrokenFrameError(f"{path}: has arrays {list(archive)}; expected also {missing}")
    return tuple(archive[name] for name in names)


def _is_pinhole(matrix: Shaped[np.ndarray, "..."]) -> bool:
    return (
        matrix.shape == (3, 3)
        and bool(np.isfinite(matrix).all())
        and bool((matrix[[0, 1], [0, 1]] > 0).all())
    )


def _is_rigid(matrix: Shaped[np.ndarray, "..."]) -> bool:
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        return False
    rotation = matrix[:3, :3].astype(np.float64)
    deviation = np.abs(rotation.T @ rotation - np.eye(3)).max()
    return bool(deviation < _RIGID_TOLERANCE and np.linalg.det(rotation) > 0)


def _pixels(path: Path, *, expected: str) -> Shaped[np.ndarray, "..."]:
    """Return stored values as they are: 16 bits stay 16 bits."""
    try:
        with open_image(path) as image:
            return np.array(image)
    except UnreadablePhotoError as error:
        raise BrokenFrameError(f"{path}: {error}; expected {expected}") from error


def _content(path: Path, *, expected: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BrokenFrameError(f"{path}: {_reason(error)}; expected {expected}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"broken ({error})"


def _kind(pixels: Shaped[np.ndarray, "..."]) -> str:
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    return f"has {channels} channel(s) of {pixels.dtype}"


def _px(size: tuple[int, ...]) -> str:
    return f"{size[1]}x{size[0]} px"
