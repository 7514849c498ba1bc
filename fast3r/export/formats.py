"""The ways a scene leaves, as one table, and the functions that choose from it.

Whatever is written appears under its name whole or not at all: an interrupted or failed write
leaves what was there before.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fast3r.export import (
    bundler,
    cameras_json,
    colmap,
    depth_maps,
    glb,
    html,
    las,
    mesh,
    ply,
    splat,
    transforms_json,
)
from fast3r.scene.archive import write_archive
from fast3r.scene.point_cloud import HELD_PIXELS, Cloud, concatenate
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.staging import staging

_MODEL_FILES = tuple(
    f"{part}.{ending}"
    for part in ("cameras", "images", "points3D", "rigs", "frames")
    for ending in ("bin", "txt")
)


@dataclass(frozen=True)
class Format:
    """One way of writing a scene."""

    target: str
    """The file or folder it makes, inside an output directory."""

    write: Callable[..., None]
    """Writes a scene to a path."""

    draws_points: bool = True
    """Whether `write` takes a point cloud, as the keyword `cloud`."""

    module: str | None = None
    """What has to be installed for it, besides what fast3r always needs."""

    extra: str | None = None
    """The extra of fast3r that brings that module."""

    replaces: tuple[str, ...] = ()
    """Files in its folder that would contradict those written now."""

    @property
    def installed(self) -> bool:
        """Whether it can be written here."""
        return self.module is None or find_spec(self.module) is not None


FORMATS = {
    "cameras": Format("cameras.json", cameras_json.write, draws_points=False),
    "ply": Format("scene.ply", ply.write),
    "glb": Format("scene.glb", glb.write),
    "laz": Format("scene.laz", las.write, module="laspy", extra="export"),
    "mesh": Format("mesh.ply", mesh.write, module="skimage", extra="mesh"),
    "colmap": Format("colmap/sparse/0", colmap.write, replaces=_MODEL_FILES),
    "colmap-text": Format("colmap/sparse/0", colmap.write_as_text, replaces=_MODEL_FILES),
    "bundler": Format("bundler", bundler.write),
    "splat": Format("splat", splat.write),
    "transforms": Format("transforms.json", transforms_json.write),
    "depth": Format("depth", depth_maps.write, draws_points=False),
    "npz": Format("scene.npz", write_archive, draws_points=False),
    "html": Format("scene.html", html.write, module="viser", extra="viewer"),
}
"""Every format by the name that `--format` takes."""

_BY_NAME_ONLY = ("colmap-text", "bundler", "splat")

_BY_SUFFIX = {
    ".ply": "ply",
    ".glb": "glb",
    ".laz": "laz",
    ".las": "laz",
    ".npz": "npz",
    ".html": "html",
}


def chosen_formats(names: Iterable[str], *, table: Mapping[str, Format] = FORMATS) -> list[str]:
    """Return the formats that names ask for, each once; `all` is every one that can be written.

    `all` takes the binary one of the two encodings of a COLMAP model, and not Bundler, which cannot
    hold every scene. A `table` with more formats serves rooms above this one.

    Raises:
        ValueError: A name is unknown.
        ImportError: A format that is asked for by name needs an extra that is not installed.
    """
    chosen: dict[str, None] = {}
    for name in names:
        if name == "all":
            chosen |= {n: None for n, f in table.items() if f.installed and n not in _BY_NAME_ONLY}
        elif name not in table:
            raise ValueError(f"unknown format {name!r}; known are {', '.join(table)} and all")
        else:
            _require(name, table[name])
            chosen[name] = None
    return list(chosen)


def write_formats(
    scene: Reconstruction,
    directory: str | Path,
    names: Iterable[str],
    *,
    cloud: Cloud | None = None,
    table: Mapping[str, Format] = FORMATS,
) -> list[Path]:
    """Write a scene into a directory in every format named, as `chosen_formats` reads them.

    All appear together when the last is complete; when one fails, none does. Returns the files
    written, relative to the directory.

    Args:
        scene: What to write.
        directory: Made where missing.
        names: Keys of the table, or `all`.
        cloud: The points to write, from `scene.point_cloud()` or `scene.view_clouds()`; without
            it those.
        table: What there is to choose from.

    Raises:
        ValueError: A name is unknown, or no view has a camera and a format needs one.
        ImportError: A format needs an extra that is not installed.
        OSError: The disk is full, or a permission is missing.
    """
    formats = [table[name] for name in chosen_formats(names, table=table)]
    return _write(scene, Path(directory), [(f, f.target) for f in formats], cloud)


def save(scene: Reconstruction, path: str | Path, *, cloud: Cloud | None = None) -> None:
    """Write a scene to one file, or to a folder for COLMAP, in the format its name tells.

    Known are `.ply`, `.glb`, `.laz`, `.las`, `.npz`, `.html`, `transforms.json` and
    `cameras.json`. A name without suffix is a folder that gets a COLMAP model in `sparse/0`.

    Args:
        scene: What to write.
        path: Where to; folders on the way are made.
        cloud: The points to write, from `scene.point_cloud()` or `scene.view_clouds()`; without
            it those.

    Raises:
        ValueError: The suffix is unknown, or no view has a camera and the format needs one.
        ImportError: The format needs an extra that is not installed.
        OSError: The disk is full, or a permission is missing.
    """
    path = Path(path)
    name = _format_of(path)
    _require(name, FORMATS[name])
    if name == "colmap" and path.parts[-2:] != ("sparse", "0"):
        path = path / "sparse" / "0"
    _write(scene, path.parent, [(FORMATS[name], path.name)], cloud)


def cloud_to_write(scene: Reconstruction, *, min_conf_percentile: float = 30.0) -> Cloud:
    """Return the points of a scene as all formats can share them, in little memory.

    Few points are all there at once; many are made again for each format, view by view.

    Raises:
        ValueError: No view has a camera, or the percentile is out of range.
    """
    clouds = scene.view_clouds(min_conf_percentile=min_conf_percentile)
    pixels = sum(scene.depth[i].numel() for i in scene.registered)
    return concatenate(list(clouds)) if pixels <= HELD_PIXELS else clouds


def load(path: str | Path) -> Reconstruction:
    """Return the scene that `save` wrote as `.npz`, bit by bit.

    Raises:
        ValueError: The file is of another format, damaged, or from a newer version.
        OSError: The file cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise ValueError(f"only .npz holds a whole scene that can be loaded, got {path.name}")
    return Reconstruction.load(path)


def _format_of(path: Path) -> str:
    if path.name in ("transforms.json", "cameras.json"):
        return path.stem
    if path.suffix.lower() in _BY_SUFFIX:
        return _BY_SUFFIX[path.suffix.lower()]
    if path.suffix == "" or path.is_dir():
        return "colmap"
    known = ", ".join((*_BY_SUFFIX, "transforms.json", "cameras.json"))
    raise ValueError(
        f"do not know how to write {path.name}; known are {known}, "
        "and a folder (no suffix) for COLMAP"
    )


def _require(name: str, wanted: Format) -> None:
    if not wanted.installed:
        raise ImportError(
            f"the format {name} needs {wanted.module}: pip install 'fast3r[{wanted.extra}]'"
        )


def _write(
    scene: Reconstruction,
    directory: Path,
    targets: list[tuple[Format, str]],
    cloud: Cloud | None,
) -> list[Path]:
    if cloud is None and any(wanted.draws_points for wanted, _ in targets):
        cloud = cloud_to_write(scene)
    with staging(directory) as stage:
        for wanted, target in targets:
            path = stage / target
            path.parent.mkdir(parents=True, exist_ok=True)
            wanted.write(scene, path, **({"cloud": cloud} if wanted.draws_points else {}))
        written = {path.relative_to(stage) for path in stage.rglob("*") if path.is_file()}
    stale = {Path(target, name) for wanted, target in targets for name in wanted.replaces}
    for path in stale - written:
        (directory / path).unlink(missing_ok=True)
    return sorted(written)
