"""MegaDepth: landmarks in the photos of tourists, with depth from stereo (Li and Snavely, 2018)."""

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

_HELD_OUT = ("0015/", "0022/")
"""Landmarks that DUSt3R and the reference keep for validation."""


@dataclass(frozen=True)
class MegaDepth(PairedScenes):
    """MegaDepth as DUSt3R's `preprocess_megadepth.py` leaves it, with its list of pairs.

    Scenes are parts of landmarks, such as `0000/0`, each with a unit of its own. Frames are named
    like the photos, without order in time. Validation takes the landmarks 0015 and 0022.
    """

    title: ClassVar[str] = "MegaDepth after DUSt3R's preprocess_megadepth.py"

    layout: ClassVar[str] = """
megadepth_pairs.npz          or all_metadata.npz, as DUSt3R calls it: scenes, images, pairs
0000/0/<photo>.jpg           landmark and part of it; <photo> itself ends in .jpg, too
0000/0/<photo>.exr           depth
0000/0/<photo>.npz           intrinsics, cam2world
"""

    pairs_names: ClassVar[tuple[str, ...]] = ("megadepth_pairs.npz", "all_metadata.npz")

    frames_pattern: ClassVar[str] = "*/*/*.npz"

    def read_overlaps(self, path: Path) -> Overlaps:
        """Return what the list of pairs says; it calls a scene '0000 0'.

        Raises:
            BrokenFrameError: It cannot be read.
        """
        scenes, photos, pairs = read_arrays(path, "scenes", "images", "pairs")
        names = ["/".join(scene.split()) for scene in texts(scenes, path)]
        columns = np.stack([whole_numbers(c, path) for c in pair_columns(pairs, 3, path)])
        return Overlaps(names, texts(photos, path), columns, source=path)

    def is_held_out(self, scene: str) -> bool:
        """Return whether a scene is for validation."""
        return scene.startswith(_HELD_OUT)
