"""The metadata that DUSt3R's preprocessing leaves of ScanNet++ and ARKitScenes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np


def write_scene_metadata(
    folder: Path,
    images: Sequence[str],
    intrinsics: Sequence[np.ndarray],
    poses: Sequence[np.ndarray],
) -> None:
    """Write the file of one scene; pairs are two frames and a score."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "scene_metadata.npz",
        images=np.array(images),
        intrinsics=np.stack(intrinsics),
        trajectories=np.stack(poses),
        pairs=np.array([[0.0, 1.0, 0.5]]),
    )


def write_all_metadata(root: Path, frames: Mapping[str, Sequence[str]]) -> None:
    """Write the file of all scenes, whose cameras are not the truth: those of scenes are."""
    counts = [len(names) for names in frames.values()]
    images = np.concatenate([np.array(names) for names in frames.values()])
    np.savez(
        root / "all_metadata.npz",
        counts=np.cumsum([0, *counts[:-1]]),
        scenes=np.array(list(frames)),
        sceneids=np.repeat(np.arange(len(frames)), counts),
        images=images,
        intrinsics=np.zeros((len(images), 3, 3)),
        trajectories=np.zeros((len(images), 4, 4)),
        pairs=np.array([[0.0, 1.0, 0.5]]),
    )
