"""Waymo Open: streets from five cameras of a driving car, with lidar (Sun et al., 2020)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fast3r.data.datasets.paired_scenes import (
    Overlaps,
    PairedScenes,
    pair_columns,
    texts,
    whole_numbers,
)
from fast3r.data.reading import read_arrays


@dataclass(frozen=True)
class Waymo(PairedScenes):
    """Waymo Open as DUSt3R's `preprocess_waymo.py` leaves it, with its list of pairs; metres.

    Scenes are called like the files they come from; frames `00012_1`, by time and camera. Depth is
    sparse: 0 wherever the lidar has no point. The lenses' slight distortion, stored beside the
    intrinsics, is left aside, as in DUSt3R. Validation takes the segments whose number ends in 0.
    """

    title: ClassVar[str] = "Waymo Open after DUSt3R's preprocess_waymo.py"

    layout: ClassVar[str] = """
waymo_pairs.npz                   scenes, frames, pairs
<segment>.tfrecord/00000_1.jpg    frame and camera (1 to 5); at most 512 px wide
<segment>.tfrecord/00000_1.exr    metres
<segment>.tfrecord/00000_1.npz    intrinsics, cam2world
"""

    pairs_names: ClassVar[tuple[str, ...]] = ("waymo_pairs.npz",)

    frames_pattern: ClassVar[str] = "*/*.npz"

    def read_overlaps(self, path: Path) -> Overlaps:
        """Return what the list of pairs says.

        Raises:
            BrokenFrameError: It cannot be read.
        """
        scenes, frames, pairs = read_arrays(path, "scenes", "frames", "pairs")
        columns = np.stack([whole_numbers(c, path) for c in pair_columns(pairs, 3, path)])
        return Overlaps(texts(scenes, path), texts(frames, path), columns, source=path)

    def is_held_out(self, scene: str) -> bool:
        """Return whether a scene is for validation."""
        # segment-<number>_<from>_<to>_with_camera_labels.tfrecord
        return scene.partition("_")[0].endswith("0")
