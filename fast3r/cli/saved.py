"""Saved scenes, as commands are told of them."""

from pathlib import Path


def scene_file(place: Path) -> Path:
    """Return the file of a scene, told by its path or by the folder that holds it."""
    return place / "scene.npz" if place.is_dir() else place
