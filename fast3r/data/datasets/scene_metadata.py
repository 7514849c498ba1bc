"""The file `scene_metadata.npz` of each indoor scene: what ScanNet++ and ARKitScenes share."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fast3r.data.frame import BrokenFrameError
from fast3r.data.reading import read_arrays


@dataclass(frozen=True)
class SceneMetadata:
    """Names and cameras of a scene's frames."""

    rows: dict[str, int]
    """Row of each frame in the arrays, by its name; in order of capture."""

    intrinsics: Float[np.ndarray, "frames ..."]
    """As stored: a matrix a frame for ScanNet++, six numbers a frame for ARKitScenes."""

    world_from_camera: Float[np.ndarray, "frames 4 4"]
    """Rigid poses, OpenCV axes, metres."""


# A scene's frames are drawn, then read one by one: its file need not be opened for each.
@lru_cache(maxsize=32)
def read_scene_metadata(path: Path) -> SceneMetadata:
    """Return what a `scene_metadata.npz` holds.

    Raises:
        BrokenFrameError: It is missing, broken, has no frames, or its arrays do not fit together.
    """
    images, intrinsics, poses = read_arrays(path, "images", "intrinsics", "trajectories")
    if not len(images):
        raise BrokenFrameError(f"{path}: lists no frames; expected some")
    if not len(images) == len(intrinsics) == len(poses):
        raise BrokenFrameError(
            f"{path}: has {len(images)} images, {len(intrinsics)} intrinsics and "
            f"{len(poses)} trajectories; expected as many of each"
        )
    rows = {str(name): row for row, name in enumerate(images)}
    # Numbers in names grow during capture, and not all are padded with zeros.
    ordered = sorted(rows, key=lambda name: (len(name), name))
    return SceneMetadata({name: rows[name] for name in ordered}, intrinsics, poses)


def listed_scenes(path: Path) -> tuple[str, ...]:
    """Return the names of the scenes in an `all_metadata.npz`, sorted.

    Raises:
        BrokenFrameError: It is missing or broken.
    """
    (scenes,) = read_arrays(path, "scenes")
    return tuple(sorted(str(scene) for scene in scenes))
