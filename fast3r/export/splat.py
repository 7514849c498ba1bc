"""`splat/`: all that Gaussian splatting starts from, in one folder.

`images/` with the photos, `sparse/0` for gsplat, Brush and the original code, `transforms.json` for
nerfstudio, with masks where there are any. Programs of that kind disagree about EXIF orientation
and about lenses, so here photos stand upright and lines are straight: every camera is a PINHOLE.
"""

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from fast3r.export import transforms_json
from fast3r.export.colmap import MAX_POINTS, colmap_model
from fast3r.export.colmap_writer import write_binary
from fast3r.export.tracks import surest_of_each_view
from fast3r.geometry.cameras import Camera, intrinsics_through, invert_rigid, project
from fast3r.scene.point_cloud import Cloud, PointCloud
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.decode import open_image
from fast3r.views.exif import read_exif
from fast3r.views.photos import read_again
from fast3r.views.turning import quarter_turns, turned
from fast3r.views.view import View

_QUALITY = 95
"""Of JPEGs that are written anew."""

_COPIED = (".jpg", ".jpeg", ".png")
"""What every program reads."""


def write(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write the folder `path`.

    A photo that stands upright and has no lens to undo is copied, others are written anew. Frames
    of videos, and photos that are gone, are there as the network saw them.

    Raises:
        ValueError: No view has a camera.
        OSError: The disk is full, or the folder cannot be written to.
    """
    cloud = scene.view_clouds() if cloud is None else cloud
    drawn = surest_of_each_view(cloud, MAX_POINTS)
    views, cameras = list(scene.views), list(scene.cameras)
    for i, view, camera in scene.posed_views():
        photo = _photo(view)
        name = _write_photo(view, photo, path / "images")
        views[i], cameras[i] = _straight(view, photo, camera, name)
    straight = replace(scene, views=views, cameras=cameras)
    drawn = replace(drawn, pixel=_pixels(straight, drawn))
    write_binary(colmap_model(straight, cloud=drawn), path / "sparse" / "0")
    transforms_json.write(straight, path / "transforms.json", cloud=drawn, photos="images/")


def _photo(view: View) -> View:
    """Return the view at the size of its photo, upright and without lens."""
    size = max(view.original_height, view.original_width)
    return read_again(view, size=size) or turned(view, -quarter_turns(view))


def _write_photo(view: View, photo: View, folder: Path) -> str:
    """Write the photo, or copy its file where that is the same; return its name."""
    name = PurePosixPath(view.name)
    if name.suffix.lower() not in _COPIED:
        name = name.with_name(f"{name.name}.jpg")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if view.source is not None and _is_file_of(photo, view.source):
        shutil.copyfile(view.source, target)
    else:
        Image.fromarray(photo.pixels.numpy()).save(target, quality=_QUALITY)
    return name.as_posix()


def _is_file_of(photo: View, source: Path) -> bool:
    """Return whether a file shows the pixels of a photo as it is."""
    whole = torch.equal(photo.original_from_network, torch.eye(3).to(photo.original_from_network))
    if not whole or photo.lens is not None or photo.face is not None:
        return False
    if source.suffix.lower() not in _COPIED:
        return False
    with open_image(source) as image:
        plain = image.mode == "RGB" and image.size == (photo.width, photo.height)
        return plain and read_exif(image, max(image.size)).orientation == 1


def _straight(view: View, photo: View, camera: Camera, name: str) -> tuple[View, Camera]:
    """Return view and camera with `photo` as the original."""
    photo_from_original = photo.network_from_original
    affine = photo_from_original @ view.original_from_network.double()
    intrinsics = intrinsics_through(photo_from_original, camera.intrinsics.double())
    straight = replace(
        view,
        name=name,
        original_from_network=affine.to(view.original_from_network),
        original_height=photo.height,
        original_width=photo.width,
        lens=None,
        face=None,
    )
    pinhole = replace(
        camera,
        intrinsics=intrinsics.to(camera.intrinsics),
        height=photo.height,
        width=photo.width,
        lens=None,
    )
    return straight, pinhole


def _pixels(scene: Reconstruction, cloud: PointCloud) -> Float[Tensor, "points 2"]:
    """Return where points lie in the photos that they came from."""
    pixels = cloud.pixel.clone()
    for index, _, camera in scene.posed_views():
        own = cloud.view_index == index
        camera_from_world = invert_rigid(camera.world_from_camera.double())
        seen, _ = project(cloud.points[own].double(), camera.intrinsics.double(), camera_from_world)
        pixels[own] = seen.to(pixels)
    return pixels
