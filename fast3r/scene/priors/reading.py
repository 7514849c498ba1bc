"""Priors from a file of their own (docs/priors.md), JSON or YAML."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.documents import read_json, read_yaml
from fast3r.geometry.lenses import Lens
from fast3r.scene.priors.camera_files import read_known_cameras
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

_T = TypeVar("_T")
_Read = Callable[[Any, str], _T]


class _MisfitError(ValueError):
    """Something in the file is not as it should be; the message says what."""


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
        entries = _object(document, "the file", optional=tuple(_PARTS))
        priors = Priors()
        for name, value in entries.items():
            if name in _OF_FILES and not trusted:
                raise _MisfitError(f"{name} are other files, which cannot be named here")
            priors = priors.joined(_PARTS[name](value, name, path.parent))
        return priors
    except _MisfitError as error:
        raise ValueError(f"{path}: {error}; see docs/priors.md") from error


def _document(path: Path) -> Any:
    if path.suffix.lower() not in (".yaml", ".yml"):
        return read_json(path, unique_keys=True)
    try:
        return read_yaml(path)
    except ImportError as error:
        raise ImportError(f"{error}, or write the file as JSON") from error


def _cameras(value: Any, place: str, folder: Path) -> Priors:
    if isinstance(value, str):
        return read_known_cameras(folder / value)
    entries = _object(value, place, needed=("file",), optional=("use", "metric"))
    use = entries.get("use", "both")
    if use not in ("both", "intrinsics", "poses"):
        raise _MisfitError(f"{place}.use must be both, intrinsics or poses, is {use!r}")
    metric = _flag(entries["metric"], f"{place}.metric") if "metric" in entries else None
    return read_known_cameras(folder / _text(entries["file"], place), use=use, metric=metric)


def _intrinsics(value: Any, place: str, folder: Path) -> Priors:
    if value == "exif":
        return Priors(intrinsics="exif")
    return Priors(intrinsics=_per_view(value, place, _intrinsics_of))


def _intrinsics_of(value: Any, place: str) -> Intrinsics | Lens:
    if isinstance(value, dict) and "model" in value:
        return _lens(value, place)
    entries = _object(value, place, optional=("focal_px", "principal_point", "size", "matrix"))
    if ("focal_px" in entries) == ("matrix" in entries):
        raise _MisfitError(f"{place} needs either focal_px or matrix")
    pixels = _size(entries["size"], f"{place}.size") if entries.get("size") is not None else None
    if "matrix" in entries:
        rows = _matrix(entries["matrix"], f"{place}.matrix", 3)
        (fx, skew, cx), (lower, fy, cy), bottom = rows.tolist()
        if skew != 0 or lower != 0 or bottom != [0, 0, 1]:
            raise _MisfitError(f"{place}.matrix must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]")
        return Intrinsics((fx, fy), (cx, cy), pixels)
    focal = entries["focal_px"]
    pair = _numbers(focal, f"{place}.focal_px", 2) if isinstance(focal, list) else None
    centre = entries.get("principal_point")
    centre = None if centre is None else _numbers(centre, f"{place}.principal_point", 2)
    one = _number(focal, f"{place}.focal_px") if pair is None else 0.0
    return Intrinsics(
        one if pair is None else (pair[0], pair[1]),
        None if centre is None else (centre[0], centre[1]),
        pixels,
    )


def _lens(value: Any, place: str) -> Lens:
    entries = _object(value, place, needed=("model", "parameters", "size"))
    parameters = _list(entries["parameters"], f"{place}.parameters")
    width, height = _size(entries["size"], f"{place}.size")
    try:
        return Lens(
            _text(entries["model"], f"{place}.model").upper(),
            tuple(_number(entry, f"{place}.parameters") for entry in parameters),
            width,
            height,
        )
    except _MisfitError:
        raise
    except ValueError as error:
        raise _MisfitError(f"{place}: {error}") from error


def _poses(value: Any, place: str, folder: Path) -> Priors:
    options = ("metric", "position_sigma", "rotation_sigma_deg")
    entries = _object(value, place, needed=("views",), optional=options)
    poses = Poses(
        _per_view(entries["views"], f"{place}.views", _pose),
        metric=_flag(entries.get("metric", False), f"{place}.metric"),
        **_given(entries, place, options[1:]),
    )
    return Priors(poses=poses)


def _gps(value: Any, place: str, folder: Path) -> Priors:
    if value == "exif":
        return Priors(gps=Gps())
    options = ("horizontal_sigma_m", "vertical_sigma_m")
    entries = _object(value, place, optional=("views", *options))
    views = entries.get("views", "exif")
    positions = views if views == "exif" else _per_view(views, f"{place}.views", _geographic)
    return Priors(gps=Gps(positions, **_given(entries, place, options)))


def _geographic(value: Any, place: str) -> tuple[float, float, float]:
    if isinstance(value, list) and len(value) == 2:
        value = [*value, math.nan]
    latitude, longitude, altitude = _numbers(value, place, 3, "latitude, longitude, altitude")
    return latitude, longitude, altitude


def _gravity(value: Any, place: str, folder: Path) -> Priors:
    if value == "upright":
        return Priors(gravity=Gravity())
    entries = _object(value, place, needed=("views",), optional=("sigma_deg",))
    down = _per_view(entries["views"], f"{place}.views", _direction)
    return Priors(gravity=Gravity(down, **_given(entries, place, ("sigma_deg",))))


def _direction(value: Any, place: str) -> tuple[float, float, float]:
    x, y, z = _numbers(value, place, 3)
    return x, y, z


def _rigs(value: Any, place: str, folder: Path) -> Priors:
    rigs = []
    for number, rig in enumerate(_list(value, place)):
        here = f"{place}[{number}]"
        entries = _object(rig, here, needed=("cameras", "frames"), optional=("metric",))
        cameras = _object(entries["cameras"], f"{here}.cameras")
        frames = [
            {key: _text(name, here) for key, name in _object(frame, f"{here}.frames").items()}
            for frame in _list(entries["frames"], f"{here}.frames")
        ]
        poses = {key: _pose(pose, f"{here}.cameras.{key}") for key, pose in cameras.items()}
        rigs.append(Rig(poses, frames, _flag(entries.get("metric", True), f"{here}.metric")))
    return Priors(rigs=tuple(rigs))


def _distances(value: Any, place: str, folder: Path) -> Priors:
    distances = []
    for number, distance in enumerate(_list(value, place)):
        here = f"{place}[{number}]"
        entries = _object(
            distance, here, needed=("metres", "between"), optional=("relative_error",)
        )
        ends = _list(entries["between"], f"{here}.between")
        if len(ends) != 2:
            raise _MisfitError(f"{here}.between must be 2 ends, is {len(ends)}")
        first, second = (_end(end, f"{here}.between") for end in ends)
        metres = _number(entries["metres"], f"{here}.metres")
        options = _given(entries, here, ("relative_error",))
        distances.append(Distance(metres, (first, second), **options))
    return Priors(distances=tuple(distances))


def _end(value: Any, place: str) -> Spot | str:
    if isinstance(value, str):
        return value
    entries = _object(value, place, needed=("view", "pixel"))
    x, y = _numbers(entries["pixel"], f"{place}.pixel", 2)
    return Spot(_text(entries["view"], place), (x, y))


def _depth(value: Any, place: str, folder: Path) -> Priors:
    if isinstance(value, str):
        return Priors(depth=DepthMaps(folder / value))
    options = ("png_unit_m", "relative_error")
    entries = _object(value, place, needed=("folder",), optional=options)
    path = folder / _text(entries["folder"], f"{place}.folder")
    return Priors(depth=DepthMaps(path, **_given(entries, place, options)))


_PARTS: Mapping[str, Callable[[Any, str, Path], Priors]] = {
    "cameras": _cameras,
    "intrinsics": _intrinsics,
    "poses": _poses,
    "gps": _gps,
    "gravity": _gravity,
    "rigs": _rigs,
    "distances": _distances,
    "depth": _depth,
}
"""What a file may hold."""

_OF_FILES = ("cameras", "depth")
"""Those that are kept in files of their own."""


def _object(
    value: Any, place: str, *, needed: Sequence[str] = (), optional: Sequence[str] = ()
) -> dict[str, Any]:
    """Return a mapping; with any name given, one that has no others."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _MisfitError(f"{place} must be an object with names, is {_shown(value)}")
    allowed = (*needed, *optional)
    unknown = [key for key in value if allowed and key not in allowed]
    if unknown:
        raise _MisfitError(f"{place} has {unknown[0]!r}; known are {', '.join(allowed)}")
    missing = [key for key in needed if key not in value]
    if missing:
        raise _MisfitError(f"{place} needs {missing[0]!r}")
    return value


def _per_view(value: Any, place: str, read: _Read[_T]) -> dict[str, _T] | list[_T]:
    if isinstance(value, list):
        return [read(entry, f"{place}[{number}]") for number, entry in enumerate(value)]
    return {
        name: read(entry, f"{place}[{name!r}]") for name, entry in _object(value, place).items()
    }


def _given(entries: Mapping[str, Any], place: str, names: Sequence[str]) -> dict[str, float]:
    return {name: _number(entries[name], f"{place}.{name}") for name in names if name in entries}


def _pose(value: Any, place: str) -> Float[Tensor, "4 4"]:
    return _matrix(value, place, 4)


def _matrix(value: Any, place: str, size: int) -> Float[Tensor, "size size"]:
    """Return a square matrix; a pose may lack its last row."""
    rows = _list(value, place)
    if len(rows) not in (3, size):
        raise _MisfitError(f"{place} must be {size}x{size} numbers, has {len(rows)} rows")
    matrix = torch.eye(size, dtype=torch.float64)
    matrix[: len(rows)] = torch.tensor(
        [_numbers(row, place, size) for row in rows], dtype=torch.float64
    )
    return matrix


def _numbers(value: Any, place: str, count: int, names: str = "") -> list[float]:
    entries = _list(value, place)
    if len(entries) != count:
        meant = f" ({names})" if names else ""
        raise _MisfitError(f"{place} must be {count} numbers{meant}, is {_shown(value)}")
    return [_number(entry, place) for entry in entries]


def _size(value: Any, place: str) -> tuple[int, int]:
    width, height = _numbers(value, place, 2, "width, height")
    if not (1 <= width < math.inf and 1 <= height < math.inf):
        raise _MisfitError(f"{place} must be width and height in pixels, is {_shown(value)}")
    return int(width), int(height)


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _MisfitError(f"{place} must be a number, is {_shown(value)}")
    try:
        return float(value)
    except OverflowError as error:
        raise _MisfitError(f"{place} is too large a number") from error


def _flag(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise _MisfitError(f"{place} must be true or false, is {_shown(value)}")
    return value


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise _MisfitError(f"{place} must name something, is {_shown(value)}")
    return value


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise _MisfitError(f"{place} must be a list, is {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
