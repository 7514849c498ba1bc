"""What a photo's EXIF says of its camera, moment and place.

EXIF is written by thousands of programs, many of them wrong: an entry that makes no sense is
taken as absent, and never stops the photo itself from being read.
"""

import math
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from PIL import ExifTags, Image

_MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
"""What Pillow and plain arithmetic raise over entries of the wrong type, count or range."""

_FULL_FRAME_WIDTH_MM = 36.0
"""Width of 35 mm film."""

_MM_PER_RESOLUTION_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""EXIF 2.32, tag FocalPlaneResolutionUnit."""


@dataclass(frozen=True)
class Exif:
    """The entries that matter for reconstruction; None where absent or nonsense."""

    orientation: int = 1
    """EXIF orientation, 1 to 8: how the stored pixels must be turned to stand upright."""

    camera_key: str | None = None
    """Make, model, lens and zoom."""

    focal_px: float | None = None
    """Focal length in pixels of this photo."""

    time_s: float | None = None
    """Seconds since the epoch; times without an offset are read as UTC."""

    gps: tuple[float, float, float] | None = None
    """Latitude and longitude in degrees, altitude in metres (NaN where not given)."""


def read_exif(image: Image.Image, long_side_px: int) -> Exif:
    """Return what the EXIF of an opened photo says, given the photo's longer side."""
    try:
        exif = image.getexif()
    except _MALFORMED:
        return Exif()
    main = _main_entries(exif)
    details = _inner_entries(exif, ExifTags.IFD.Exif)
    place = _inner_entries(exif, ExifTags.IFD.GPSInfo)
    return Exif(
        orientation=_orientation(main),
        camera_key=_camera_key(main, details),
        focal_px=_focal_px(details, long_side_px),
        time_s=_time_s(main, details),
        gps=_gps(place),
    )


def _main_entries(exif: Image.Exif) -> dict[int, Any]:
    """Return the entries of the main directory that can be decoded."""
    entries = {}
    for tag in exif:
        # Pillow decodes an entry when it is asked for.
        with suppress(*_MALFORMED):
            entries[tag] = exif[tag]
    return entries


def _inner_entries(exif: Image.Exif, directory: int) -> dict[int, Any]:
    try:
        return dict(exif.get_ifd(directory))
    except _MALFORMED:
        return {}


def _orientation(main: Mapping[int, Any]) -> int:
    value = main.get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _camera_key(main: Mapping[int, Any], details: Mapping[int, Any]) -> str | None:
    """Return a key that differs whenever the maker, the lens or the zoom does."""
    camera = [_text(main.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
    if not any(camera):
        return None
    lens = [_text(details.get(tag)) for tag in (ExifTags.Base.LensMake, ExifTags.Base.LensModel)]
    zoom = [
        f"{value:.4g}" if (value := _positive(details.get(tag))) else ""
        for tag in (
            ExifTags.Base.FocalLength,
            ExifTags.Base.FocalLengthIn35mmFilm,
            ExifTags.Base.DigitalZoomRatio,
        )
    ]
    return "|".join(camera + lens + zoom)


def _focal_px(details: Mapping[int, Any], long_side_px: int) -> float | None:
    """Return the focal length in pixels, from the film-equivalent or from the sensor's pitch.

    The film-equivalent length is taken to compare widths: 36 mm spans the long side. Makers who
    compare diagonals instead mean a focal length 4 % longer on 4:3 sensors.
    """
    film_mm = _positive(details.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if film_mm:
        return film_mm / _FULL_FRAME_WIDTH_MM * long_side_px
    return _focal_px_from_sensor(details, long_side_px)


def _focal_px_from_sensor(details: Mapping[int, Any], long_side_px: int) -> float | None:
    focal_mm = _positive(details.get(ExifTags.Base.FocalLength))
    per_unit = _positive(details.get(ExifTags.Base.FocalPlaneXResolution))
    unit_mm = _MM_PER_RESOLUTION_UNIT.get(details.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    if not (focal_mm and per_unit and unit_mm):
        return None
    # The resolution counts pixels of the photo as it was taken; it may have been shrunk since.
    taken_px = [
        _positive(details.get(tag)) or 0.0
        for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
    ]
    shrunk = long_side_px / max(taken_px) if all(taken_px) else 1.0
    return focal_mm * per_unit / unit_mm * shrunk


def _time_s(main: Mapping[int, Any], details: Mapping[int, Any]) -> float | None:
    text = details.get(ExifTags.Base.DateTimeOriginal) or main.get(ExifTags.Base.DateTime)
    try:
        moment = datetime.strptime(_text(text)[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    zone = _zone(_text(details.get(ExifTags.Base.OffsetTimeOriginal)))
    digits = _text(details.get(ExifTags.Base.SubsecTimeOriginal))
    fraction = float(f"0.{digits}") if digits.isdecimal() and digits.isascii() else 0.0
    return moment.replace(tzinfo=zone).timestamp() + fraction


def _zone(offset: str) -> Any:
    try:
        return datetime.strptime(offset, "%z").tzinfo
    except ValueError:
        return timezone.utc


def _gps(place: Mapping[int, Any]) -> tuple[float, float, float] | None:
    latitude = _degrees(place, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S", 90)
    longitude = _degrees(place, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W", 180)
    if latitude is None or longitude is None:
        return None
    return latitude, longitude, _altitude_m(place)


def _degrees(
    place: Mapping[int, Any], tag: int, sign_tag: int, negative: str, limit: float
) -> float | None:
    try:
        degrees, minutes, seconds = (float(part) for part in place[tag])
        value = degrees + minutes / 60 + seconds / 3600
    except _MALFORMED:
        return None
    if not 0 <= value <= limit:
        return None
    return -value if _text(place.get(sign_tag)).upper().startswith(negative) else value


def _altitude_m(place: Mapping[int, Any]) -> float:
    try:
        height = float(place[ExifTags.GPS.GPSAltitude])
    except _MALFORMED:
        return math.nan
    below = place.get(ExifTags.GPS.GPSAltitudeRef) in (1, b"\x01", 3, b"\x03")
    return -height if below else height


def _positive(value: Any) -> float | None:
    """Return a positive finite number, or None."""
    try:
        number = float(value)
    except _MALFORMED:
        return None
    return number if math.isfinite(number) and number > 0 else None


def _text(value: Any) -> str:
    """Return an entry as one line of text; empty where it is not text."""
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="ignore")
    return value.replace("\0", "").strip() if isinstance(value, str) else ""
