"""Priors from a file of their own (docs/priors.md), JSON or YAML."""

import math
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from fast3r.documents import read_json, read_yaml
from fast3r.geometry.lenses import Lens
from fast3r.scene.priors.camera_files import read_known_cameras
from fast3r.scene.priors.entries import (
    MisfitError,
    flag,
    list_of,
    matrix_of,
    number,
    numbers,
    object_of,
    options_of,
    pair,
    per_view,
    text,
)
from fast3r.scene.priors.types import (
    DepthMaps,
    Distance,
    Gps,
    Gravity,
    Intrinsics,
    Poses,
    Priors,
    Rig,
    Spot,
)


def read_priors(path: Path, *, trusted: bool = True) -> Priors:
    """Return what a file says; paths in it are relative to its folder.

    Args:
        path: The file.
        trusted: Whether it may name other files.

    Raises:
        ValueError: It is not as docs/priors.md has it; the message names the place.
        OSError: It cannot be read.
        ImportError: It is YAML, and PyYAML is not installed.
    """
    document = _document(path)
    try:
        entries = object_of(document, "the file", optional=("cameras", *_PARTS, "depth"))
        known = {name: read(entries[name]) for name, read in _PARTS.items() if name in entries}
        priors = Priors(**known)
        for name, read in _PARTS_IN_FILES.items():
            if name in entries:
                if not trusted:
                    raise MisfitError(f"{name} are other files, which cannot be named here")
                priors = priors.joined(read(entries[name], path.parent))
        return priors
    except MisfitError as error:
        raise ValueError(f"{path}: {error}; see docs/priors.md") from error


def _document(path: Path) -> Any:
    if path.suffix.lower() not in (".yaml", ".yml"):
        return read_json(path, unique_keys=True)
    try:
        return read_yaml(path)
    except ImportError as error:
        raise ImportError(f"{error}, or write the file as JSON") from error


def _cameras(value: Any, folder: Path) -> Priors:
    if isinstance(value, str):
        return read_known_cameras(folder / value)
    entries = object_of(value, "cameras", needed=("file",), optional=("use", "metric"))
    use = entries.get("use", "both")
    if use not in ("both", "intrinsics", "poses"):
        raise MisfitError(f"cameras.use must be both, intrinsics or poses, is {use!r}")
    metric = flag(entries["metric"], "cameras.metric") if "metric" in entries else None
    file = folder / text(entries["file"], "cameras.file")
    return read_known_cameras(file, use=use, metric=metric)


def _depth(value: Any, folder: Path) -> Priors:
    if isinstance(value, str):
        return Priors(depth=DepthMaps(folder / value))
    options = ("png_unit_m", "relative_error")
    entries = object_of(value, "depth", needed=("folder",), optional=options)
    path = folder / text(entries["folder"], "depth.folder")
    return Priors(depth=DepthMaps(path, **options_of(entries, "depth", options)))


def _intrinsics(value: Any) -> Any:
    return value if value == "exif" else per_view(value, "intrinsics", _intrinsics_of)


def _intrinsics_of(value: Any, place: str) -> Intrinsics | Lens:
    if isinstance(value, dict) and "model" in value:
        return _lens(value, place)
    entries = object_of(value, place, optional=("focal_px", "principal_point", "size", "matrix"))
    if ("focal_px" in entries) == ("matrix" in entries):
        raise MisfitError(f"{place} needs either focal_px or matrix")
    size = _size(entries["size"], f"{place}.size") if entries.get("size") is not None else None
    if "matrix" in entries:
        rows = matrix_of(entries["matrix"], f"{place}.matrix", 3)
        (fx, skew, cx), (lower, fy, cy), bottom = rows.tolist()
        if skew != 0 or lower != 0 or bottom != [0, 0, 1]:
            raise MisfitError(f"{place}.matrix must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]")
        return Intrinsics((fx, fy), (cx, cy), size)
    given, centre = entries["focal_px"], entries.get("principal_point")
    focal_px = (pair if isinstance(given, list) else number)(given, f"{place}.focal_px")
    point = None if centre is None else pair(centre, f"{place}.principal_point")
    return Intrinsics(focal_px, point, size)


def _lens(value: Any, place: str) -> Lens:
    entries = object_of(value, place, needed=("model", "parameters", "size"))
    model = text(entries["model"], f"{place}.model").upper()
    listed = list_of(entries["parameters"], f"{place}.parameters")
    parameters = tuple(number(entry, f"{place}.parameters") for entry in listed)
    width, height = _size(entries["size"], f"{place}.size")
    try:
        return Lens(model, parameters, width, height)
    except ValueError as error:
        raise MisfitError(f"{place}: {error}") from error


def _size(value: Any, place: str) -> tuple[int, int]:
    width, height = pair(value, place, "width, height")
    if not (1 <= width < math.inf and 1 <= height < math.inf):
        raise MisfitError(f"{place} must be width and height in pixels, is {value!r}")
    return int(width), int(height)


def _poses(value: Any) -> Poses:
    options = ("position_sigma", "rotation_sigma_deg")
    entries = object_of(value, "poses", needed=("views",), optional=("metric", *options))
    return Poses(
        per_view(entries["views"], "poses.views", _pose),
        metric=flag(entries.get("metric", False), "poses.metric"),
        **options_of(entries, "poses", options),
    )


def _pose(value: Any, place: str) -> Float[Tensor, "4 4"]:
    return matrix_of(value, place, 4)


def _gps(value: Any) -> Gps:
    if value == "exif":
        return Gps()
    options = ("horizontal_sigma_m", "vertical_sigma_m")
    entries = object_of(value, "gps", optional=("views", *options))
    views = entries.get("views", "exif")
    positions = views if views == "exif" else per_view(views, "gps.views", _geographic)
    return Gps(positions, **options_of(entries, "gps", options))


def _geographic(value: Any, place: str) -> tuple[float, float, float]:
    if isinstance(value, list) and len(value) == 2:
        value = [*value, math.nan]
    latitude, longitude, altitude = numbers(value, place, 3, "latitude, longitude, altitude")
    return latitude, longitude, altitude


def _gravity(value: Any) -> Gravity:
    if value == "upright":
        return Gravity()
    entries = object_of(value, "gravity", needed=("views",), optional=("sigma_deg",))
    down = per_view(entries["views"], "gravity.views", _direction)
    return Gravity(down, **options_of(entries, "gravity", ("sigma_deg",)))


def _direction(value: Any, place: str) -> tuple[float, float, float]:
    x, y, z = numbers(value, place, 3)
    return x, y, z


def _rigs(value: Any) -> tuple[Rig, ...]:
    return tuple(_rig(rig, f"rigs[{place}]") for place, rig in enumerate(list_of(value, "rigs")))


def _rig(value: Any, place: str) -> Rig:
    entries = object_of(value, place, needed=("cameras", "frames"), optional=("metric",))
    cameras = object_of(entries["cameras"], f"{place}.cameras")
    frames = [
        {key: text(name, place) for key, name in object_of(frame, f"{place}.frames").items()}
        for frame in list_of(entries["frames"], f"{place}.frames")
    ]
    poses = {key: _pose(pose, f"{place}.cameras.{key}") for key, pose in cameras.items()}
    return Rig(poses, frames, flag(entries.get("metric", True), f"{place}.metric"))


def _distances(value: Any) -> tuple[Distance, ...]:
    listed = list_of(value, "distances")
    return tuple(_distance(entry, f"distances[{place}]") for place, entry in enumerate(listed))


def _distance(value: Any, place: str) -> Distance:
    options = ("relative_error",)
    entries = object_of(value, place, needed=("metres", "between"), optional=options)
    ends = list_of(entries["between"], f"{place}.between")
    if len(ends) != 2:
        raise MisfitError(f"{place}.between must be 2 ends, is {len(ends)}")
    first, second = (_end(end, f"{place}.between") for end in ends)
    metres = number(entries["metres"], f"{place}.metres")
    return Distance(metres, (first, second), **options_of(entries, place, options))


def _end(value: Any, place: str) -> Spot | str:
    if isinstance(value, str):
        return value
    entries = object_of(value, place, needed=("view", "pixel"))
    return Spot(text(entries["view"], place), pair(entries["pixel"], f"{place}.pixel"))


_PARTS = {
    "intrinsics": _intrinsics,
    "poses": _poses,
    "gps": _gps,
    "gravity": _gravity,
    "rigs": _rigs,
    "distances": _distances,
}
"""What a file may hold, by the field of `Priors`."""

_PARTS_IN_FILES = {"cameras": _cameras, "depth": _depth}
"""What is kept in files of its own."""
