"""Which camera file a folder has, and reading it whatever kind it is."""

from collections.abc import Callable
from pathlib import Path

from fast3r.camera_files.cameras_json import read_cameras
from fast3r.camera_files.colmap import read_colmap
from fast3r.camera_files.records import CameraRecord
from fast3r.camera_files.transforms_json import read_transforms
from fast3r.documents import read_json

_PLACES = (
    "cameras.json",
    "transforms.json",
    "transforms_train.json",
    "sparse/0",
    "sparse",
    ".",
)
"""What is looked for in a folder; the first counts."""


def find_camera_file(folder: Path) -> Path | None:
    """Return the camera file of a folder, or the folder of its COLMAP model; None if none."""
    for place in _PLACES:
        path = folder / place
        if path.is_file() or any((path / f"cameras.{kind}").is_file() for kind in ("bin", "txt")):
            return path
    return None


def read_camera_file(
    path: Path, *, photo_size: Callable[[str], tuple[int, int]]
) -> list[CameraRecord]:
    """Return the photos of a `cameras.json`, a `transforms.json` or the folder of a COLMAP model.

    Args:
        path: The file or folder.
        photo_size: See `read_transforms`.

    Raises:
        ValueError: It is something else, or damaged.
        OSError: It cannot be read.
    """
    if path.is_dir():
        return read_colmap(path)
    document = read_json(path)
    if isinstance(document, dict) and "frames" in document:
        return read_transforms(path, photo_size=photo_size)
    return read_cameras(path)
