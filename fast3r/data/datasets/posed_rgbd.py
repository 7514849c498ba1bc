"""A user's own photos with cameras and depth, in the simplest layout; docs/training-data.md."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from fast3r.camera_files.cameras_json import read_cameras
from fast3r.camera_files.records import CameraRecord
from fast3r.data.dataset import check_layout
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.overlap import DepthOverlaps, Pinhole
from fast3r.data.reading import (
    read_array,
    read_arrays,
    read_depth_png,
    read_json,
    without_unknown,
)
from fast3r.data.sampling import draw_connected
from fast3r.views.decode import (
    UnreadablePhotoError,
    open_image,
    rgb_and_alpha,
    stored_orientation,
    upright,
)
from fast3r.views.exif import read_exif

_LAYOUT = """
<scene>/cameras.json                as `fast3r reconstruct` writes it, and "depth_scale"
<scene>/images/<name>               photos, by the names in cameras.json
<scene>/depth/<name>.png|.npy|.npz  depth along the camera's z axis; not needed of every photo
(or these three in the folder itself, for a single scene)
"""

_DEPTH_SUFFIXES = (".npz", ".npy", ".png")


@dataclass(frozen=True)
class PosedRgbd:
    """Folders of photos with a camera each, and with depth where there is any."""

    root: Path
    """Folder of scenes, or of a single one."""

    def __post_init__(self) -> None:
        check_layout(self.root, bool(self.scenes), dataset="a posed RGB-D folder", expected=_LAYOUT)

    @cached_property
    def scenes(self) -> tuple[str, ...]:
        """Names of the scenes, sorted; "." where the folder is a scene itself."""
        if (self.root / "cameras.json").is_file():
            return (".",)
        return tuple(sorted(path.parent.name for path in self.root.glob("*/cameras.json")))

    def frames(self, scene: str) -> list[str]:
        """Return the names of the photos that have a camera, in the order of cameras.json.

        Raises:
            BrokenFrameError: cameras.json cannot be read.
        """
        return list(_read_scene(self.root / scene).cameras)

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the names of `views` frames with depth that overlap, directly or through others.

        Equal dice give equal frames. Frames repeat only where fewer than `views` overlap.

        Raises:
            BrokenFrameError: cameras.json or a depth map cannot be read, or there is no depth.
        """
        contents = _read_scene(self.root / scene)
        if not contents.overlaps:
            raise BrokenFrameError(
                f"{contents.folder / 'depth'}: has no depth map of a photo with a camera; "
                "expected some to train on"
            )
        return draw_connected(contents.overlaps, views, dice)

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at the size of its photo, turned upright; a smaller depth map is grown.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        contents = _read_scene(self.root / scene)
        camera = contents.cameras[frame]
        path = contents.folder / "images" / frame
        image = _read_upright(path)
        if image.shape[:2] != (camera.height, camera.width):
            raise BrokenFrameError(
                f"{path}: has {image.shape[1]}x{image.shape[0]} px; "
                f"expected {camera.width}x{camera.height}, as cameras.json says"
            )
        depth = None
        if frame in contents.depth_paths:
            depth = _grown(contents.read_depth(frame), camera, contents.depth_paths[frame])
        return checked_frame(
            frame,
            image,
            depth,
            camera.intrinsics,
            camera.world_from_camera,
            source=contents.folder / "cameras.json",
        )


class _Scene:
    """What is known of a scene without its photos."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.depth_scale = read_json(folder / "cameras.json").get("depth_scale")
        self.cameras = _cameras(folder / "cameras.json")
        self.depth_paths = _depth_paths(folder / "depth", self.cameras)
        usable = {n: self.cameras[n] for n in self.depth_paths if self.cameras[n].possible}
        self.overlaps = DepthOverlaps(usable, self.read_depth)

    def read_depth(self, name: str) -> Float32[np.ndarray, "height width"]:
        """Return a depth map at its stored size, in units of the poses."""
        path = self.depth_paths[name]
        if path.suffix == ".npz":
            return without_unknown(_flat(read_arrays(path, "depth")[0], path))
        if path.suffix == ".npy":
            return without_unknown(_flat(read_array(path), path))
        scale = self.depth_scale
        # Beyond this range its inverse is no number of 32 bits.
        if not isinstance(scale, int | float) or not 1e-30 < scale < 1e30:
            raise BrokenFrameError(
                f"{self.folder / 'cameras.json'}: depth_scale is {scale}; expected the depth, in "
                "units of the poses, that a value of 1 in a PNG stands for, such as 0.001"
            )
        return read_depth_png(path, units_per_metre=1 / scale)


@lru_cache(maxsize=256)
def _read_scene(folder: Path) -> _Scene:
    return _Scene(folder)


def _cameras(path: Path) -> dict[str, Pinhole]:
    """Return the cameras of the photos that have one, by name."""
    try:
        return {record.name: _pinhole(record) for record in read_cameras(path)}
    except ValueError as error:
        raise BrokenFrameError(str(error)) from error


def _pinhole(record: CameraRecord) -> Pinhole:
    calibration = record.calibration
    if calibration.size is None or not calibration.is_pinhole:
        raise BrokenFrameError(
            f"the camera of {record.name} is {calibration.model}, of size {calibration.size}; "
            "expected a pinhole with width and height, so undistort the photos first"
        )
    width, height = calibration.size
    return Pinhole(height, width, calibration.intrinsics, record.world_from_camera)


def _depth_paths(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return the depth map of each photo that has one, named like it with or without ending."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.*")}
    paths: dict[str, Path] = {}
    for name in names:
        stems = (name, PurePosixPath(name).with_suffix("").as_posix())
        found = [stem + suffix for stem in stems for suffix in _DEPTH_SUFFIXES]
        path = next((files[file] for file in found if file in files), None)
        if path is not None:
            paths[name] = path
    return paths


def _flat(depth: Shaped[np.ndarray, "..."], path: Path) -> Shaped[np.ndarray, "height width"]:
    """Return depths without an axis for their only channel."""
    flat = depth[..., 0] if depth.ndim == 3 and depth.shape[-1] == 1 else depth
    if flat.ndim != 2 or flat.size == 0 or flat.dtype.kind not in "fiu":
        raise BrokenFrameError(
            f"{path}: holds {depth.dtype} of shape {depth.shape}; expected numbers in rows"
        )
    return flat


def _grown(
    depth: Float32[np.ndarray, "rows columns"], camera: Pinhole, path: Path
) -> Float32[np.ndarray, "height width"]:
    """Return for each pixel of a photo the depth stored for the place it falls into."""
    rows, columns = depth.shape
    if abs(rows * camera.width - columns * camera.height) > max(camera.width, camera.height):
        raise BrokenFrameError(
            f"{path}: has {columns}x{rows} px; expected the shape of its photo, "
            f"{camera.width}x{camera.height} px, at any scale"
        )
    y = (np.arange(camera.height) + 0.5) * rows / camera.height
    x = (np.arange(camera.width) + 0.5) * columns / camera.width
    return depth[y.astype(int)[:, None], x.astype(int)]


def _read_upright(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Return a photo as EXIF says it stands, which is how cameras.json counts its pixels."""
    try:
        with open_image(path) as image:
            orientation = stored_orientation(image, read_exif(image, max(image.size)).orientation)
            return np.array(upright(rgb_and_alpha(image)[0], orientation))
    except UnreadablePhotoError as error:
        raise BrokenFrameError(f"{path}: {error}; expected a photo") from error
