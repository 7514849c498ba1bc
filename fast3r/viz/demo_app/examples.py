"""Photos that come with fast3r, to try it without any of one's own."""

from pathlib import Path

from fast3r.views.sources import PHOTO_SUFFIXES

_ROOMS = (
    # What a wheel brings, and what a checkout has.
    Path(__file__).parents[1] / "examples",
    Path(__file__).parents[3] / "examples" / "photos",
)


def find_examples() -> dict[str, list[Path]]:
    """Return the photos of each example by its name."""
    folders = [folder for room in _ROOMS if room.is_dir() for folder in sorted(room.iterdir())]
    found = {folder.name: _photos_in(folder) for folder in folders if folder.is_dir()}
    return {name: photos for name, photos in found.items() if photos}


def _photos_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)
