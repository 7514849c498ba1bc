"""ETH3D: photos of places with laser scans (Schoeps et al., CVPR 2017), high-resolution set."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.cameras import (
    intrinsics_matrix,
    inverse_rigid,
    numbers,
    rigid,
    rotation_of_quaternion,
)
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import read_image, read_lines, read_raw_depth

_LAYOUT = """
courtyard/images/dslr_images/DSC_0286.JPG               archive courtyard_dslr_jpg.7z
courtyard/dslr_calibration_jpg/cameras.txt, images.txt  same archive
courtyard/ground_truth_depth/dslr_images/DSC_0286.JPG   archive courtyard_dslr_depth.7z
"""


class _Camera(NamedTuple):
    intrinsics: Float[np.ndarray, "3 3"]
    world_from_camera: Float[np.ndarray, "4 4"]


class Eth3d:
    """The scenes of a folder, in metres; a frame is named like `DSC_0286.JPG`.

    Depth was made for the photos as taken, so these are read, not the undistorted ones; of their
    camera model only the pinhole part is given. Distortion moves pixels near the corners by
    about a hundred pixels of 6048.
    """

    def __init__(self, root: Path) -> None:
        """Find the scenes.

        Raises:
            ValueError: The folder is laid out differently.
        """
        self.root = root
        found = [path.parents[1] for path in root.glob("*/dslr_calibration_jpg/images.txt")]
        parts = ("images/dslr_images", "ground_truth_depth/dslr_images")
        complete = bool(found) and all((scene / part).is_dir() for scene in found for part in parts)
        check_layout(root, complete, dataset="ETH3D", expected=_LAYOUT)
        self.scenes = tuple(sorted(scene.name for scene in found))

    def frames(self, scene: str) -> Sequence[str]:
        """Return the names of the frames that have a camera, by name.

        Raises:
            BrokenFrameError: The calibration cannot be read.
        """
        return sorted(_cameras(self.root / scene / "dslr_calibration_jpg"))

    def pose(self, scene: str, frame: str) -> Float[np.ndarray, "4 4"]:
        """Return world_from_camera of a frame without reading its photo.

        Raises:
            BrokenFrameError: The calibration cannot be read or lacks it.
        """
        return self._camera(scene, frame).world_from_camera

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        folder = self.root / scene
        camera = self._camera(scene, frame)
        image = read_image(folder / "images" / "dslr_images" / frame)
        source = folder / "ground_truth_depth" / "dslr_images" / frame
        depth = read_raw_depth(source, *image.shape[:2])
        return checked_frame(
            frame, image, depth, camera.intrinsics, camera.world_from_camera, source=source
        )

    def _camera(self, scene: str, frame: str) -> _Camera:
        source = self.root / scene / "dslr_calibration_jpg"
        camera = _cameras(source).get(frame)
        if camera is None:
            raise BrokenFrameError(f"{source / 'images.txt'}: has no photo {frame}")
        return camera


@lru_cache(maxsize=4)
def _cameras(folder: Path) -> Mapping[str, _Camera]:
    """Return the cameras of a COLMAP text model by the name of the photo."""
    source = folder / "cameras.txt"
    rows = [row.split() for row in _rows(source) if row]
    # THIN_PRISM_FISHEYE and PINHOLE both begin with fx fy cx cy, centres at +0.5.
    intrinsics = {
        row[0]: intrinsics_matrix(*numbers(row[4:8], source=source)) for row in rows if len(row) > 7
    }
    source = folder / "images.txt"
    cameras = {}
    # Every other row has the key points of the photo before it.
    for row in _rows(source)[::2]:
        words = row.split()
        if len(words) != 10 or words[8] not in intrinsics:
            raise BrokenFrameError(
                f"{source}: has the line {row[:60]!r}; expected an id, a quaternion, a "
                f"translation, a camera of {sorted(intrinsics)} and a name"
            )
        values = numbers(words[1:8], source=source)
        pose = rigid(rotation_of_quaternion(values[:4]), values[4:7])
        cameras[Path(words[9]).name] = _Camera(intrinsics[words[8]], inverse_rigid(pose))
    if not cameras:
        raise BrokenFrameError(f"{source}: lists no photo")
    return cameras


def _rows(path: Path) -> list[str]:
    return [line for line in read_lines(path) if not line.startswith("#")]
