"""Whether a photo's file is whole, told from its structure without decoding it.

A photo of a large set is decoded long after it was counted in, so a file that was cut short must
be found out early. Decoding would find out too, a hundred times slower.
"""

import mmap
import os
import struct
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image

_TAIL_BYTES = 1 << 16
"""Where the end of a photo is looked for first; phones append small extras behind it."""


def is_whole(path: Path, image: Image.Image) -> bool:
    """Return whether the file holds all the bytes that its own structure promises.

    Formats whose structure does not tell are taken as whole.
    """
    with path.open("rb") as stream:
        length = os.fstat(stream.fileno()).st_size
        if image.format in ("JPEG", "MPO"):
            return _jpeg_is_whole(stream, length)
        if image.format == "PNG":
            return _has_from(stream, length, 0, b"IEND")
        if image.format == "WEBP":
            return struct.unpack("<4xI", stream.read(8))[0] + 8 <= length
        if image.format in ("AVIF", "HEIF"):
            return _boxes_are_whole(stream, length)
        if image.format == "TIFF":
            return _tiff_end(image) <= length
    return True


def _jpeg_is_whole(stream: BinaryIO, length: int) -> bool:
    """Return whether an end-of-image marker follows the scan.

    The scan is byte-stuffed and cannot hold the marker itself; the thumbnail in front of it can.
    """
    stream.seek(2)
    while len(marker := stream.read(2)) == 2:
        if marker == b"\xff\xff":
            stream.seek(-1, os.SEEK_CUR)
        elif marker == b"\xff\xda":
            return _has_from(stream, length, stream.tell(), b"\xff\xd9")
        elif len(size := stream.read(2)) == 2:
            stream.seek(int.from_bytes(size, "big") - 2, os.SEEK_CUR)
    return False


def _has_from(stream: BinaryIO, length: int, start: int, pattern: bytes) -> bool:
    """Return whether the pattern occurs after `start`, looking near the end of the file first."""
    stream.seek(max(start, length - _TAIL_BYTES))
    if pattern in stream.read():
        return True
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(pattern, start) >= 0


def _boxes_are_whole(stream: BinaryIO, length: int) -> bool:
    """Return whether the top-level boxes end within the file (ISO/IEC 14496-12, section 4.2)."""
    start = 0
    while start + 8 <= length:
        stream.seek(start)
        head = stream.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size == 0:
            return True
        if size < 8:
            return False
        start += size
    return start <= length


def _tiff_end(image: Image.Image) -> int:
    """Return the byte behind the last strip or tile of the first page."""
    tags = image.getexif()
    starts = tags.get(ExifTags.Base.StripOffsets) or tags.get(ExifTags.Base.TileOffsets) or ()
    counts = tags.get(ExifTags.Base.StripByteCounts) or tags.get(ExifTags.Base.TileByteCounts) or ()
    starts, counts = ((v,) if isinstance(v, int) else v for v in (starts, counts))
    return max((start + count for start, count in zip(starts, counts, strict=False)), default=0)
