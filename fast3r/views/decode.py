"""Opening image files of every kind, and turning their pixels into 8-bit RGB and alpha."""

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

MAX_PIXELS = 250_000_000
"""Larger photos are refused: decoding one would take a gigabyte. Phones reach 200 million."""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "MPO", "GIF", "BMP", "PPM", "JPEG2000", "AVIF", "HEIF")

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Major brands of ISO/IEC 23008-12 that Pillow does not read by itself."""

_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow and its plugins raise over broken files."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What stands an image of each EXIF orientation upright."""


class UnreadablePhotoError(ValueError):
    """A photo or video that cannot be used; the message is the reason."""


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file without decoding it; what fails inside the block is its fault too.

    Raises:
        UnreadablePhotoError: The file is missing, empty, broken, too large or no image.
    """
    try:
        with _pillow_settings, Image.open(path, formats=_known_formats(path)) as image:
            _check_pixel_count(image)
            yield image
    except UnreadablePhotoError:
        raise
    except UnidentifiedImageError:
        raise UnreadablePhotoError("not an image in a format that can be read") from None
    except _UNREADABLE as error:
        raise UnreadablePhotoError(_reason(error)) from error


def rgb_and_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return an image as 8-bit RGB, and its opacity where it has any.

    Colour under transparency is kept. 16-bit values are scaled by 65535, floating-point ones and
    32-bit integers by the brightest pixel.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        image = _grey(np.asarray(image), white=65535)
    elif image.mode in ("I", "F"):
        image = _grey(np.asarray(image), white=None)
    if not image.has_transparency_data:
        return image.convert("RGB"), None
    image = image.convert("RGBA")
    return image.convert("RGB"), image.getchannel("A")


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image turned as its EXIF orientation (1 to 8) asks."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def stored_orientation(image: Image.Image, orientation: int) -> int:
    """Return the turn that is left to do once Pillow has decoded: it turns TIFFs by itself."""
    return 1 if image.format == "TIFF" else orientation


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height of the stored pixels, before any turn.

    Newer versions of Pillow tell the size of a TIFF as if it had been turned already.
    """
    if image.format != "TIFF":
        return image.size
    tags = image.getexif()
    return tags[ExifTags.Base.ImageWidth], tags[ExifTags.Base.ImageLength]


def swaps_axes(orientation: int) -> bool:
    """Return whether standing upright turns rows into columns."""
    return orientation >= 5


def _grey(values: np.ndarray, white: float | None) -> Image.Image:
    values = values.astype(np.float32)
    if not np.isfinite(values).all() or values.min() < 0:
        raise UnreadablePhotoError("its pixels are negative or not finite")
    white = white or float(values.max()) or 1.0
    return Image.fromarray((values * (255 / white)).round().astype(np.uint8))


def _known_formats(path: Path) -> list[str]:
    """Return the formats to try, having made HEIC known to Pillow if this is one."""
    # To open a named pipe would wait for whoever writes into it.
    if path.exists() and not path.is_file():
        raise UnreadablePhotoError("not a file")
    with path.open("rb") as stream:
        head = stream.read(12)
    if not head:
        raise UnreadablePhotoError("the file is empty")
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        _register_heif()
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError:
        raise UnreadablePhotoError(
            "HEIC photos need pillow-heif: pip install 'fast3r[media]'"
        ) from None
    pillow_heif.register_heif_opener()


def _check_pixel_count(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise UnreadablePhotoError(
            f"{image.width}x{image.height} px is more than {MAX_PIXELS // 1_000_000} million"
        )


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if "truncated" in str(error) or isinstance(error, EOFError):
        return "the file is cut short"
    return f"the file is broken ({error})"


class _PillowSettings:
    """Pillow's pixel limit lifted, as ours replaces it, and its warnings silenced.

    Both are global, so they are changed by the first thread to enter and put back by the last.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.|pillow_heif|fast3r\.views")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)
                Image.MAX_IMAGE_PIXELS = self._limit


_pillow_settings = _PillowSettings()
