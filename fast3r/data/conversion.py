"""A user's own photos with cameras and depth become a posed RGB-D folder to train on.

The cameras come from COLMAP or from a `transforms.json`. Lenses that bend straight lines are
refused: points are made from depth by a pinhole camera.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from fast3r.camera_files.colmap import read_colmap
from fast3r.camera_files.records import CameraRecord
from fast3r.camera_files.transforms_json import read_transforms
from fast3r.data.overlap import Pinhole
from fast3r.views.decode import UnreadablePhotoError, open_image, rgb_and_alpha, stored_size
from fast3r.views.exif import read_exif

_UNDISTORT = (
    "undistort the photos first: colmap image_undistorter --image_path PHOTOS --input_path MODEL "
    "--output_path OUT, then convert OUT/images with OUT/sparse"
)

_DEPTH_ENDINGS = (".geometric.bin", ".photometric.bin", ".npz", ".npy", ".png")
"""Of a depth map after the photo's name, the best first; `.bin` are those of COLMAP's stereo."""


class Converted(NamedTuple):
    """What a conversion found."""

    photos: int
    """Photos with a camera."""

    depth_maps: int
    """Those of them that have a depth map."""


class _Shot(NamedTuple):
    name: str
    photo: Path
    depth: Path | None
    camera: Pinhole


def convert_colmap(
    model: Path,
    photos: Path,
    output: Path,
    *,
    depth: Path | None = None,
    depth_scale: float = 0.001,
) -> Converted:
    """Write a posed RGB-D folder from a sparse model of COLMAP.

    Args:
        model: Folder of the model, binary or text.
        photos: Folder of the photos, by the names in the model.
        output: Folder to write; new or empty.
        depth: Folder of depth maps in units of the model: `stereo/depth_maps` of COLMAP's dense
            workspace, or files `<photo>.png`, `.npy`, `.npz`. None: there are none.
        depth_scale: Depth in units of the model that a value of 1 in a PNG stands for.

    Raises:
        ValueError: The model cannot be read, has a distorted camera or no pose; a photo is
            missing or has another size than its camera.
    """
    shots = [
        _Shot(
            record.name,
            photos / record.name,
            _depth_of(record.name, depth),
            _pinhole(record, record.name),
        )
        for record in read_colmap(model)
    ]
    return _write_scene(shots, output, depth_scale=depth_scale, source=model)


def convert_transforms(transforms: Path, output: Path, *, depth_scale: float = 0.001) -> Converted:
    """Write a posed RGB-D folder from a `transforms.json`, as nerfstudio and its relatives use it.

    Args:
        transforms: The file; its `file_path` and `depth_file_path` are relative to its folder.
        output: Folder to write; new or empty.
        depth_scale: Depth in units of the poses that a value of 1 in a PNG stands for. The
            default is nerfstudio's, for poses in metres.

    Raises:
        ValueError: The file is no `transforms.json`, a camera is no pinhole, a photo is missing
            or has another size than its camera.
    """
    folder = transforms.parent
    records = read_transforms(transforms, photo_size=lambda name: _size(_photo_at(folder, name)))
    shots = [_shot(record, folder) for record in records]
    return _write_scene(shots, output, depth_scale=depth_scale, source=transforms)


def read_colmap_depth(path: Path) -> Float32[np.ndarray, "height width"]:
    """Return a depth map that COLMAP's stereo wrote; 0 where unknown.

    The text `width&height&channels&` is followed by float32 values, a row after the other.

    Raises:
        ValueError: The file is something else.
    """
    content = path.read_bytes()
    *sizes, values = content.split(b"&", 3)
    if (
        len(sizes) != 3
        or not all(size.isdigit() and len(size) < 10 for size in sizes)
        or int(sizes[2]) != 1
    ):
        raise ValueError(f"{path}: starts with {content[:20]!r}; expected b'width&height&1&'")
    width, height, _ = map(int, sizes)
    if len(values) != 4 * width * height:
        raise ValueError(
            f"{path}: has {len(values)} bytes of values; expected {4 * width * height}"
        )
    depth = np.frombuffer(values, "<f4").reshape(height, width)
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)


def _pinhole(record: CameraRecord, name: str) -> Pinhole:
    calibration = record.calibration
    if not calibration.is_pinhole:
        lens = ", ".join(calibration.lens) or "no parameters"
        raise ValueError(
            f"{name} has a distorted camera ({calibration.model} with {lens}); {_UNDISTORT}"
        )
    assert calibration.size is not None
    width, height = calibration.size
    return Pinhole(height, width, calibration.intrinsics, record.world_from_camera)


def _depth_of(name: str, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    stems = (name, PurePosixPath(name).with_suffix("").as_posix())
    paths = [folder / f"{stem}{ending}" for stem in stems for ending in _DEPTH_ENDINGS]
    return next((path for path in paths if path.is_file()), None)


def _photo_at(folder: Path, name: str) -> Path:
    photo = folder / name
    # Blender's scenes leave the ending out.
    return photo if photo.suffix else photo.with_suffix(".png")


def _shot(record: CameraRecord, folder: Path) -> _Shot:
    """Return one frame of a transforms.json, named as it will be below `images`."""
    photo = _photo_at(folder, record.name)
    parts = [part for part in PurePosixPath(record.name).parts if part not in ("..", "/")]
    name = PurePosixPath(*parts).with_suffix(photo.suffix).as_posix().removeprefix("images/")
    depth = None if record.depth_name is None else folder / record.depth_name
    return _Shot(name, photo, depth, _pinhole(record, name))


def _write_scene(
    shots: Sequence[_Shot], output: Path, *, depth_scale: float, source: Path
) -> Converted:
    """Write photos, depth maps and cameras.json into a new folder, if nothing contradicts it."""
    names = [shot.name for shot in shots]
    if not shots or len(set(names)) < len(names):
        found = "none" if not shots else "two of the same name"
        raise ValueError(
            f"{source}: photos with a pose are needed, each with its name; has {found}"
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{output} holds something already; choose a new folder")
    for shot in shots:
        _check(shot)
    for shot in shots:
        _copy_photo(shot.photo, output / "images" / shot.name)
        if shot.depth is not None:
            _copy_depth(shot.depth, output / "depth" / shot.name)
    document = {
        "version": 1,
        "views": [_view(shot) for shot in shots],
        "scale": "arbitrary",
        "depth_scale": depth_scale,
    }
    (output / "cameras.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return Converted(len(shots), sum(shot.depth is not None for shot in shots))


def _view(shot: _Shot) -> dict[str, object]:
    return {
        "name": shot.name,
        "width": shot.camera.width,
        "height": shot.camera.height,
        "intrinsics": shot.camera.intrinsics.tolist(),
        "world_from_camera": shot.camera.world_from_camera.tolist(),
        "registered": True,
    }


def _check(shot: _Shot) -> None:
    """Refuse a photo whose files are not what its camera says, before anything is written."""
    if not shot.camera.possible:
        raise ValueError(
            f"{shot.name} has an impossible camera: intrinsics {shot.camera.intrinsics.tolist()}, "
            f"world_from_camera {shot.camera.world_from_camera.tolist()}; expected finite numbers, "
            "focal lengths above 0 and a pose that is a rotation and a shift"
        )
    expected = shot.camera.width, shot.camera.height
    found = _size(shot.photo)
    if found != expected:
        raise ValueError(
            f"{shot.photo} has {found[0]}x{found[1]} px, but its camera {expected[0]}x{expected[1]}"
        )
    if shot.depth is not None and not shot.depth.is_file():
        raise ValueError(f"{shot.depth} is missing: the depth map of {shot.name}")


def _size(photo: Path) -> tuple[int, int]:
    """Return width and height of a photo's stored pixels, which is what cameras count."""
    try:
        with open_image(photo) as image:
            return stored_size(image)
    except UnreadablePhotoError as error:
        raise ValueError(f"{photo} cannot be read: {error}") from error


def _copy_photo(photo: Path, target: Path) -> None:
    """Copy a photo, written anew if EXIF would turn it away from what its camera counts."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_image(photo) as image:
        turned = read_exif(image, max(image.size)).orientation != 1
        if turned:
            rgb_and_alpha(image)[0].save(target, quality=95)
    if not turned:
        shutil.copyfile(photo, target)


def _copy_depth(depth: Path, target: Path) -> None:
    """Copy a depth map, named like its photo; COLMAP's own become `.npy`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if depth.suffix == ".bin":
        np.save(f"{target}.npy", read_colmap_depth(depth))
    else:
        shutil.copyfile(depth, f"{target}{depth.suffix}")
