"""What a visitor sees of a scene, and takes home: the page in 3D, and files."""

import io
import shutil
from pathlib import Path

from PIL import Image

from fast3r.export import html
from fast3r.export.formats import cloud_to_write
from fast3r.scene.point_cloud import num_points
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.viz.demo_app.visits import Result
from fast3r.viz.results import FORMATS, write_each, write_results

EVERYTHING = "everything"
"""The name of all formats together."""

FORMAT_TITLES = {
    EVERYTHING: "Everything, in one zip",
    "ply": "PLY: points, for MeshLab, CloudCompare, Blender",
    "glb": "GLB: points and cameras, for Blender and the web",
    "html": "HTML: the 3D view as a page that opens anywhere",
    "colmap": "COLMAP: cameras and points, for splatting and photogrammetry",
    "colmap-text": "COLMAP as text",
    "bundler": "Bundler: cameras and points, for older photogrammetry",
    "splat": "Splat: photos, cameras and points in one folder, for gsplat, Nerfstudio, Brush",
    "transforms": "transforms.json: cameras, for Nerfstudio",
    "cameras": "cameras.json: cameras and which photos found no place",
    "depth": "Depth maps: a .npz and a .png for each photo",
    "laz": "LAZ: points, for surveying tools",
    "mesh": "Mesh: the surface as triangles",
    "npz": "NPZ: the whole scene, for fast3r",
    "still": "PNG: a picture",
}
"""What each format is good for, in the order of the menu."""


def draw(scene: Reconstruction, folder: Path, *, min_conf_percentile: float) -> tuple[Path, int]:
    """Write a scene in 3D as a page into a folder; returns its place and how many points it shows.

    Raises:
        ValueError: No view has a camera.
    """
    cloud = cloud_to_write(scene, min_conf_percentile=min_conf_percentile)
    # Browsers keep what they have seen, so each setting has a name of its own.
    page = folder / f"scene-{min_conf_percentile:g}.html"
    html.write(scene, page, cloud=cloud)
    for older in set(folder.glob("scene-*.html")) - {page}:
        older.unlink(missing_ok=True)
    return page, num_points(cloud)


def jpeg(picture: Image.Image, *, quality: int = 85) -> bytes:
    """Return a picture as the content of a JPEG file."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def available_formats() -> list[tuple[str, str]]:
    """Return title and name of the formats that can be written here."""
    names = [name for name in FORMATS if FORMATS[name].installed]
    titles = {name: FORMAT_TITLES.get(name, name) for name in (EVERYTHING, *names)}
    order = [*FORMAT_TITLES, *names]
    return [
        (title, name) for name, title in sorted(titles.items(), key=lambda t: order.index(t[0]))
    ]


def write_download(
    scene: Reconstruction, result: Result, name: str, *, min_conf_percentile: float
) -> Path:
    """Return a file with the scene in a format, or in all; what is a folder becomes a zip.

    Raises:
        ValueError: The scene does not fit the format.
        OSError: The disk is full.
    """
    folder = result.folder / "downloads" / ("fast3r" if name == EVERYTHING else name)
    shutil.rmtree(folder, ignore_errors=True)
    recorder = StageRecorder()
    if name == EVERYTHING:
        formats = [n for n, f in FORMATS.items() if f.installed and n != "colmap-text"]
        write_results(
            scene, result.report, folder, formats, recorder, min_conf_percentile=min_conf_percentile
        )
        return _zipped(folder)
    _, problems = write_each(
        scene, folder, [name], recorder, min_conf_percentile=min_conf_percentile
    )
    if problems:
        raise ValueError(problems[0])
    target = Path(FORMATS[name].target)
    whole = folder / target.parts[0]
    return _zipped(whole) if whole.is_dir() else whole


def _zipped(folder: Path) -> Path:
    """Return a zip in the place of a folder, which it holds under its name."""
    packed = Path(shutil.make_archive(str(folder), "zip", folder.parent, folder.name))
    shutil.rmtree(folder)
    return packed
