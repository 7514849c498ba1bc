"""From what a user names (folder, files, pattern, video) to the list of files to read."""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MaskKeeps = Literal["white", "black"]
"""What belongs to the scene in a mask: all but black, or black alone."""

# fmt: off
PHOTO_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".avif", ".heic",
    ".heif", ".hif", ".gif", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm", ".jp2",
}
"""Endings of photos."""

VIDEO_SUFFIXES = {
    ".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp", ".mts", ".m2ts",
    ".wmv", ".flv", ".ogv",
}
"""Endings of videos."""

RAW_SUFFIXES = {
    ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw", ".3fr", ".iiq",
    ".x3f",
}
"""Endings of camera raw files. Most are TIFFs inside, whose first page is a small preview."""
# fmt: on

_SIGNATURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|II\*\0|MM\0\*|GIF8"
    rb"|....ftyp(avif|hei[cxms]|hev[cx]|mif1|msf1)",
    re.DOTALL,
)
"""First bytes of photos, for files whose ending does not tell."""


@dataclass(frozen=True)
class PhotoFile:
    """A photo on disk, unread."""

    name: str
    """Path relative to the folder that all files have in common, with forward slashes."""

    path: Path
    """File to read."""

    mask_path: Path | None = None
    """Mask to read, if there is one."""

    mask_keeps: MaskKeeps = "white"
    """What belongs to the scene in that mask."""


@dataclass(frozen=True)
class Sources:
    """Files to read, in order."""

    place: str
    """What the user named, for messages."""

    photos: list[PhotoFile]
    """Photos, camera raw files among them."""

    videos: dict[str, Path]
    """By name: the path from the folder that all files have in common, without ending."""


def find_sources(source: str | Path | Sequence[str | Path]) -> Sources:
    """Return the photos and videos that a folder, file, pattern, or list of these names.

    Folders and patterns are read in natural order and hold photos only for what looks like one;
    a file named outright is taken at its word.

    Raises:
        ValueError: Nothing is there, no photo is among it, or a file is named twice.
    """
    entries = [source] if isinstance(source, (str, Path)) else list(source)
    if "" in entries:
        raise ValueError("no photos were given: the name is empty; '.' is the current folder")
    if not entries:
        raise ValueError("no photos were given: the list is empty")
    paths = [path for entry in entries for path in _files_of(Path(entry).expanduser())]
    _refuse_duplicates(paths)
    root = os.path.commonpath([os.path.abspath(path.parent) for path in paths])
    named = [(Path(os.path.relpath(path, root)), path) for path in paths]
    videos = [(name, path) for name, path in named if _is_video(path)]
    stems = _unique_stems([name for name, _ in videos])
    return Sources(
        place=f"{entries[0]}" + (f" and {len(entries) - 1} more" if len(entries) > 1 else ""),
        photos=[PhotoFile(_text(n), path) for n, path in named if not _is_video(path)],
        videos=dict(zip(stems, (path for _, path in videos), strict=True)),
    )


def natural_key(path: str | Path) -> tuple[list[tuple[bool, int, str]], str]:
    """Return a sort key that counts: img2 comes before img10."""
    text = str(path)
    parts = re.findall(r"[0-9]+|[^0-9]+", text.casefold())
    # Digits come before letters, as in plain sorting; the text itself parts img1 from img01.
    return [(False, int(p), "") if p[0] in "0123456789" else (True, 0, p) for p in parts], text


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _unique_stems(names: Sequence[Path]) -> list[str]:
    """Return paths without ending, but with it where two differ in nothing else."""
    stems = [_text(name.with_suffix("")) for name in names]
    counts = Counter(stems)
    return [
        _text(name) if counts[stem] > 1 else stem for name, stem in zip(names, stems, strict=True)
    ]


def _text(name: Path) -> str:
    r"""Return a name that any file can hold: bytes that are no UTF-8 become `\xff` or the like."""
    return os.fsencode(name.as_posix()).decode("utf-8", "backslashreplace")


def _files_of(entry: Path) -> list[Path]:
    if entry.is_dir():
        return _photos_in(entry)
    if os.path.lexists(entry):
        return [entry]
    if any(sign in str(entry) for sign in "*?["):
        return _matches_of(str(entry))
    raise ValueError(f"{entry} does not exist")


def _photos_in(folder: Path) -> list[Path]:
    entries = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural_key)
    photos = [path for path in entries if _looks_like_photo(path)]
    if all(path.suffix.lower() in RAW_SUFFIXES for path in photos):
        raise ValueError(_why_no_photos(folder, entries))
    return photos


def _matches_of(pattern: str) -> list[Path]:
    matches = sorted(map(Path, glob.glob(pattern, recursive=True)), key=natural_key)
    if not matches:
        raise ValueError(f"no file matches {pattern}")
    photos = [path for path in matches if _looks_like_photo(path)]
    videos = [path for path in matches if _is_video(path)]
    if not photos and not videos:
        raise ValueError(f"{pattern} matches no photos: it matches {_kinds_of(matches)}")
    return photos or videos


def _looks_like_photo(path: Path) -> bool:
    suffix = path.suffix.lower()
    if path.is_dir() or _is_video(path):
        return False
    if suffix in PHOTO_SUFFIXES or suffix in RAW_SUFFIXES:
        return True
    # Named pipes would block when opened.
    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            return _SIGNATURE.match(stream.read(16)) is not None
    except OSError:
        return False


def _why_no_photos(folder: Path, entries: Sequence[Path]) -> str:
    if not entries:
        return f"{folder} is empty"
    videos = [path.name for path in entries if _is_video(path)]
    if videos:
        return f"{folder} holds no photos; to read a video, name it: {folder / videos[0]}"
    counts = {
        path.name: sum(_looks_like_photo(inner) for inner in path.iterdir())
        for path in entries
        if path.is_dir()
    }
    full = [f"{name} ({count})" for name, count in counts.items() if count]
    if full:
        return (
            f"{folder} holds no photos itself, but its folders do: {_few(full)}; "
            f"name one of them, or {folder / '*' / '*'} for all"
        )
    return f"{folder} holds no photos that can be read: it has {_kinds_of(entries)}"


def _kinds_of(paths: Iterable[Path]) -> str:
    """Return endings and how often each occurs, the most frequent first."""
    kinds = Counter("folders" if p.is_dir() else p.suffix.lower() or p.name for p in paths)
    return _few([f"{count} {kind}" for kind, count in kinds.most_common()])


def _few(words: Sequence[str]) -> str:
    shown = ", ".join(words[:6])
    return f"{shown} and {len(words) - 6} more" if len(words) > 6 else shown


def _refuse_duplicates(paths: Sequence[Path]) -> None:
    counts = Counter(os.path.abspath(path) for path in paths)
    twice = [path for path, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"named more than once: {_few(twice)}; name each photo once")
