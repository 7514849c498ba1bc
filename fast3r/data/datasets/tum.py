"""TUM RGB-D: hand-held videos with motion capture (Sturm et al., IROS 2012)."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.cameras import (
    from_integer_centres,
    intrinsics_matrix,
    numbers,
    rigid,
    rotation_of_quaternion,
)
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import read_depth_png, read_image, read_lines

_LAYOUT = """
rgbd_dataset_freiburg3_walking_xyz/rgb.txt           time, path of a photo
rgbd_dataset_freiburg3_walking_xyz/depth.txt         time, path of a depth map
rgbd_dataset_freiburg3_walking_xyz/groundtruth.txt   time, tx ty tz, qx qy qz qw
rgbd_dataset_freiburg3_walking_xyz/rgb/*.png
rgbd_dataset_freiburg3_walking_xyz/depth/*.png       5000 a metre
"""

_MAX_GAP_S = 0.02
"""Photo, depth and pose belong together if they were taken within this time."""

# Published with the dataset; what is not named gets the default of the sensor's driver.
_CAMERAS = {
    "freiburg1": (517.3, 516.5, 318.6, 255.3),
    "freiburg2": (520.9, 521.0, 325.1, 249.7),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
}
_DEFAULT_CAMERA = (525.0, 525.0, 319.5, 239.5)


class _Shot(NamedTuple):
    photo: str
    depth: str | None
    world_from_camera: Float[np.ndarray, "4 4"]


class Tum:
    """The sequences of a folder; a frame is named by the time of its photo in seconds.

    Lens distortion (sequences `freiburg1` and `freiburg2`) is not undone.
    """

    def __init__(self, root: Path) -> None:
        """Find the sequences.

        Raises:
            ValueError: The folder is laid out differently.
        """
        self.root = root
        found = [path.parent for path in root.glob("*/groundtruth.txt")]
        complete = bool(found) and all((folder / "rgb.txt").exists() for folder in found)
        check_layout(root, complete, dataset="TUM RGB-D", expected=_LAYOUT)
        self.scenes = tuple(sorted(folder.name for folder in found))

    def frames(self, scene: str) -> Sequence[str]:
        """Return the names of the frames that have a pose, in order of capture.

        Raises:
            BrokenFrameError: A list cannot be read, or no photo has a pose.
        """
        return list(_shots(self.root / scene))

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame, in metres.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        folder = self.root / scene
        shot = _shots(folder).get(frame)
        if shot is None:
            raise BrokenFrameError(f"{folder / 'rgb.txt'}: has no photo at {frame} s with a pose")
        camera = next((c for name, c in _CAMERAS.items() if name in scene), _DEFAULT_CAMERA)
        depth = shot.depth and read_depth_png(folder / shot.depth, units_per_metre=5000)
        return checked_frame(
            name=frame,
            image=read_image(folder / shot.photo),
            depth=depth if isinstance(depth, np.ndarray) and depth.any() else None,
            intrinsics=from_integer_centres(intrinsics_matrix(*camera)),
            world_from_camera=shot.world_from_camera,
            source=folder / "groundtruth.txt",
        )


@lru_cache(maxsize=4)
def _shots(folder: Path) -> dict[str, _Shot]:
    """Return photos with a pose, by their time."""
    photos = _timed(folder / "rgb.txt", 1)
    poses = _timed(folder / "groundtruth.txt", 7)
    depths = _timed(folder / "depth.txt", 1) if (folder / "depth.txt").exists() else {}
    pose_of, depth_of = associate(photos, poses), associate(photos, depths)
    shots = {}
    for time in sorted(pose_of, key=float):
        values = numbers(poses[pose_of[time]], source=folder / "groundtruth.txt")
        depth = depths[depth_of[time]][0] if time in depth_of else None
        shots[time] = _Shot(photos[time][0], depth, _pose(values))
    if not shots:
        raise BrokenFrameError(
            f"{folder}: none of its {len(photos)} photos was taken within {_MAX_GAP_S} s of one "
            f"of its {len(poses)} poses"
        )
    return shots


def associate(first: Collection[str], second: Collection[str]) -> dict[str, str]:
    """Return pairs of times in seconds that lie within 20 ms, the closest first, each used once."""
    theirs = np.array(sorted(float(time) for time in second))
    names = sorted(second, key=float)
    candidates = []
    for time in first:
        start, end = np.searchsorted(theirs, float(time) + np.array([-_MAX_GAP_S, _MAX_GAP_S]))
        candidates += [(abs(theirs[i] - float(time)), time, names[i]) for i in range(start, end)]
    pairs: dict[str, str] = {}
    taken: set[str] = set()
    for _, mine, other in sorted(candidates):
        if mine not in pairs and other not in taken:
            pairs[mine] = other
            taken.add(other)
    return pairs


def _timed(path: Path, values: int) -> dict[str, list[str]]:
    """Return the words after the time on each line that is no comment."""
    rows = [line.split() for line in read_lines(path) if line and not line.startswith("#")]
    for row in rows:
        if len(row) < 1 + values:
            raise BrokenFrameError(f"{path}: has the line {row}; expected a time and {values} more")
        numbers(row[:1], source=path)
    return {row[0]: row[1:] for row in rows}


def _pose(values: Float[np.ndarray, " values"]) -> Float[np.ndarray, "4 4"]:
    return rigid(rotation_of_quaternion(values[[6, 3, 4, 5]]), values[:3])
