"""Names that clients give their files, made harmless.

They never become paths: files are stored under numbers. They come back as the names of views, in
`cameras.json` and the like, and some writers name files after views.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

from fast3r.views.sources import PHOTO_SUFFIXES, RAW_SUFFIXES, VIDEO_SUFFIXES

_MAX_BYTES = 120
"""File systems allow 255; writers append endings, and copies a number."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
"""Names that Windows keeps to itself."""

_KNOWN_SUFFIXES = PHOTO_SUFFIXES | VIDEO_SUFFIXES | RAW_SUFFIXES


def harmless_name(name: str) -> str:
    """Return the last part of a path as a plain file name that is safe on any system.

    Letters and digits of all scripts stay, and so do spaces and `._-()+`; the rest become `_`.
    """
    last = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    kept = "".join(c if c.isalnum() or c in " ._-()+" else "_" for c in last)
    stem, suffix = _parted(kept.strip(" ."))
    stem = _clipped(stem, _MAX_BYTES - len(suffix.encode())).strip(" .") or "file"
    return f"_{stem}{suffix}" if _RESERVED.match(stem + ".") else stem + suffix


def harmless_names(names: Sequence[str]) -> list[str]:
    """Return a harmless name for each file, no two alike on any file system.

    Videos differ by more than their ending, as their frames are named without it.
    """
    taken: set[str] = set()
    return [_untaken(harmless_name(name), taken) for name in names]


STORAGE_NAME = re.compile(r"upload-[0-9]{5,}(\.[a-z0-9]+)?")
"""What `storage_name` returns."""


PRIORS_FILE = "priors.json"
"""Our own name for what is known of the photos."""


def storage_name(number: int, name: str) -> str:
    """Return our own name for an uploaded file: its number and, where known, its kind."""
    suffix = PurePosixPath(name).suffix.lower()
    return f"upload-{number:05d}{suffix if suffix in _KNOWN_SUFFIXES else ''}"


def is_video(name: str) -> bool:
    """Return whether a file is read as a video."""
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def _parted(name: str) -> tuple[str, str]:
    """Return stem and ending; what is long behind a dot is no ending."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem and len(suffix.encode()) <= 12 else (name, "")


def _clipped(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode("utf-8", "ignore")


def _untaken(name: str, taken: set[str]) -> str:
    """Return the name, with a number where it is taken, and take it."""
    stem, suffix = _parted(name)
    number, unique = 1, name
    while _key(unique) in taken:
        number += 1
        unique = f"{stem}-{number}{suffix}"
    taken.add(_key(unique))
    return unique


def _key(name: str) -> str:
    shown = _parted(name)[0] if is_video(name) else name
    return unicodedata.normalize("NFKC", shown).casefold()
