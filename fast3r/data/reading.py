"""Reading the files that datasets are made of.

Whatever is wrong with a file raises `BrokenFrameError`, which names the file, what was found and
what was expected, so that a loader needs no checks of its own.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped, UInt8
from PIL import Image

from fast3r.data.frame import BrokenFrameError
from fast3r.scene.numpy_files import DAMAGE, load
from fast3r.views.decode import UnreadablePhotoError, open_image, rgb_and_alpha

_PFM_HEADER = re.compile(rb"Pf\s+(\d{1,9})\s+(\d{1,9})\s+([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s")


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


def read_raw_depth(path: Path, height: int, width: int) -> Float32[np.ndarray, "height width"]:
    """Return the depths of a file of nothing but float32 numbers, row by row.

    Raises:
        BrokenFrameError: It is missing or has another number of bytes.
    """
    if not path.is_file():
        raise BrokenFrameError(f"{path}: no such file; expected a depth map")
    found, expected = path.stat().st_size, 4 * height * width
    if found != expected:
        raise BrokenFrameError(
            f"{path}: has {found} bytes; expected {expected}, for {width}x{height} px"
        )
    return without_unknown(np.fromfile(path, "<f4").reshape(height, width))


def read_arrays(path: Path, *names: str) -> tuple[Shaped[np.ndarray, "..."], ...]:
    """Return arrays of an .npz file in the order of their names.

    Raises:
        BrokenFrameError: It is missing, broken, or has no array of such a name.
    """
    try:
        with path.open("rb") as stream:
            return _named_arrays(load(stream), names, path)
    except BrokenFrameError:
        raise
    except DAMAGE as error:
        raise BrokenFrameError(f"{path}: {_reason(error)}; expected arrays {names}") from error


def read_array(path: Path) -> Shaped[np.ndarray, "..."]:
    """Return the array of an .npy file.

    Raises:
        BrokenFrameError: It is missing or broken.
    """
    try:
        with path.open("rb") as stream:
            array = load(stream)
    except DAMAGE as error:
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


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        BrokenFrameError: It is missing, not JSON or something else than an object.
    """
    content = _content(path, expected="a JSON object")
    try:
        document = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise BrokenFrameError(f"{path}: not JSON ({error}); expected an object") from error
    if not isinstance(document, dict):
        raise BrokenFrameError(f"{path}: holds a {type(document).__name__}; expected an object")
    return document


def resized(
    image: UInt8[np.ndarray, "_height _width 3"], height: int, width: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Return a photo at another size."""
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def without_unknown(
    depth: Shaped[np.ndarray, "height width"],
) -> Float32[np.ndarray, "height width"]:
    """Return depths with 0 for what cannot be one: negative, infinite, not a number."""
    depth = np.array(depth, dtype=np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    return depth


def _named_arrays(
    archive: Mapping[str, np.ndarray] | np.ndarray, names: tuple[str, ...], path: Path
) -> tuple[Shaped[np.ndarray, "..."], ...]:
    if not isinstance(archive, Mapping):
        raise BrokenFrameError(f"{path}: is one array; expected an archive of {names}")
    missing = [name for name in names if name not in archive]
    if missing:
        raise BrokenFrameError(f"{path}: has arrays {list(archive)}; expected also {missing}")
    return tuple(archive[name] for name in names)


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
