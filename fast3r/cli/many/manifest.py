"""Which scenes there are: the folders and videos of a folder, or the lines of a JSON lines file."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from fast3r.cli.options.reconstruct import Reconstruct, SceneOptions
from fast3r.plain_values import receive
from fast3r.views.sources import VIDEO_SUFFIXES, find_sources, natural_key

_OF_THE_RUN = ("model", "commercial_only", "device", "devices", "talk")
"""Options that are the same for all scenes, since the model is loaded once."""

_PHOTOS_INSIDE = "images"
"""Where many tools keep the photos of a scene, inside its folder."""


def read_scenes(manifest: Path, output: Path, options: SceneOptions) -> list[Reconstruct]:
    """Return what is to be made of each scene, in order.

    Args:
        manifest: A folder, each of whose folders with photos, and each of whose videos, is a
            scene; or a file of JSON lines, see `scene_of`.
        output: Where each scene gets a folder of its name.
        options: Of all scenes, unless a line says otherwise.

    Raises:
        ValueError: There is no scene, two have one name, or a line is not as it should be.
        OSError: The file cannot be read.
    """
    rows = _rows_in(manifest, output) if manifest.is_dir() else _rows_of(manifest)
    scenes = []
    for where, row in rows:
        try:
            scenes.append(scene_of(row, output, options, folder=manifest.parent))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    _refuse_clashes([scene.output.relative_to(output).as_posix() for scene in scenes])
    return scenes


def scene_of(
    row: Mapping[str, Any], output: Path, options: SceneOptions, *, folder: Path
) -> Reconstruct:
    """Return what is to be made of one scene.

    Args:
        row: `photos`, a folder, file or pattern or a list of these; `name`, by default what the
            photos are called; and options of `fast3r reconstruct` as their fields are called. An
            entry that is null counts as not there.
        output: Where the scene gets a folder of its name.
        options: What the row says nothing of.
        folder: What relative paths in the row start from.

    Raises:
        ValueError: A key is unknown, or a value is not as it should be.
    """
    entries = {key: _plain(value) for key, value in row.items() if value is not None}
    photos, name = entries.pop("photos", None), entries.pop("name", None)
    photos = [photos] if isinstance(photos, str) else photos
    if not photos or not isinstance(photos, list) or not all(isinstance(p, str) for p in photos):
        raise ValueError(f"photos must be a path or a list of paths, got {photos!r}")
    fixed = [key for key in entries if key in _OF_THE_RUN]
    if fixed:
        raise ValueError(f"{', '.join(fixed)} is for all scenes: give it on the command line")
    read = receive(SceneOptions, entries)
    own = {key: _placed(key, getattr(read, key), folder) for key in entries}
    common = {f.name: getattr(options, f.name) for f in dataclasses.fields(SceneOptions)}
    return Reconstruct(
        photos=tuple(str(folder / Path(path).expanduser()) for path in photos),
        output=output / _checked_name(Path(photos[0]).stem if name is None else name),
        **{**common, **own},
    )


def _rows_in(folder: Path, output: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return a row for each folder with photos, and for each video."""
    rows = []
    for path in sorted(folder.iterdir(), key=natural_key):
        if path.name.startswith(".") or path.resolve() == output.resolve():
            continue
        place = _photos_of(path) if path.is_dir() else _video(path)
        if place is not None:
            name = path.name if path.is_dir() else path.stem
            rows.append((str(path), {"photos": str(place.absolute()), "name": name}))
    if not rows:
        raise ValueError(
            f"{folder} holds no scenes: neither a folder with photos nor a video; if its photos "
            "are one scene, use 'fast3r reconstruct'"
        )
    return rows


def _photos_of(folder: Path) -> Path | None:
    for place in (folder, folder / _PHOTOS_INSIDE):
        try:
            if place.is_dir() and find_sources(place).photos:
                return place
        except ValueError:  # it has none
            continue
    return None


def _video(path: Path) -> Path | None:
    return path if path.suffix.lower() in VIDEO_SUFFIXES else None


def _rows_of(file: Path) -> list[tuple[str, dict[str, Any]]]:
    rows = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text in UTF-8: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{file} line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise ValueError(
                f"{where} is not JSON ({reason}): each line is one scene, such as "
                '{"photos": "hall/"}'
            ) from error
        if not isinstance(row, dict):
            raise ValueError(f'{where} must be a scene such as {{"photos": "hall/"}}, got {row!r}')
        rows.append((where, row))
    if not rows:
        raise ValueError(f"{file} names no scenes")
    return rows


def _plain(value: Any) -> Any:
    """Return a value without the arrays that Ray makes of numbers and lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def _placed(key: str, value: Any, folder: Path) -> Any:
    hint = get_type_hints(SceneOptions)[key]
    kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    return folder / value if Path in kinds and value is not None else value


def _checked_name(name: Any) -> str:
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    if not parts or name.startswith("/") or ".." in parts or set(name) & {"\\", "\0"}:
        raise ValueError(f"a scene's name becomes a folder inside the output, got {name!r}")
    return "/".join(parts)


def _refuse_clashes(names: Sequence[str]) -> None:
    taken: set[str] = set()
    for name in names:
        if name in taken:
            raise ValueError(f"two scenes are called {name}: give them names of their own")
        taken.add(name)
    for name in names:
        inside = [str(folder) for folder in PurePosixPath(name).parents if str(folder) in taken]
        if inside:
            raise ValueError(f"the results of {name} would lie inside those of {inside[0]}")
