"""StaticThings3D: rendered objects at rest in mid-air (Schröppel et al., 2022)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Int, Shaped

from fast3r.data.datasets.paired_scenes import Overlaps, PairedScenes, pair_columns, whole_numbers
from fast3r.data.frame import Frame
from fast3r.data.reading import read_array

_PASSES = ("clean", "final")
"""Renderings without and with motion blur and blur of what is out of focus."""

_BACKGROUND = 200.0
"""Depth of the backdrop. Left in, it would be all that sets the scale of a sample."""


@dataclass(frozen=True)
class StaticThings3D(PairedScenes):
    """StaticThings3D as DUSt3R's `preprocess_staticthings3d.py` leaves it, with its list of pairs.

    Scenes are called `A/0000`, frames `left/0006_clean`: every camera has a clean and a final
    rendering, one of which is drawn. Beyond 200 units depth counts as unknown. Validation takes
    the scenes whose number ends in 0.
    """

    title: ClassVar[str] = "StaticThings3D after DUSt3R's preprocess_staticthings3d.py"

    layout: ClassVar[str] = """
staticthings_pairs.npy               part, scene, camera, frame, other camera, other frame
TRAIN/A/0000/left/0006_clean.jpg     parts A, B, C; cameras left, right; frames 6 to 15
TRAIN/A/0000/left/0006_final.jpg
TRAIN/A/0000/left/0006.exr           depth
TRAIN/A/0000/left/0006.npz           intrinsics, cam2world
"""

    pairs_names: ClassVar[tuple[str, ...]] = ("staticthings_pairs.npy",)

    frames_pattern: ClassVar[str] = "TRAIN/*/*/*/*.npz"

    def read_overlaps(self, path: Path) -> Overlaps:
        """Return what the list of pairs says.

        Raises:
            BrokenFrameError: It cannot be read.
        """
        part, number, camera, frame, other_camera, other_frame = pair_columns(
            read_array(path), 6, path
        )
        scenes = np.stack([_letters(part), whole_numbers(number, path)])
        scenes, places = np.unique(scenes, axis=1, return_inverse=True)
        names = [f"{chr(letter)}/{scene:04d}" for letter, scene in scenes.T.tolist()]
        firsts = np.stack([_letters(camera) == ord("r"), whole_numbers(frame, path)])
        seconds = np.stack([_letters(other_camera) == ord("r"), whole_numbers(other_frame, path)])
        views, ends = np.unique(np.hstack([firsts, seconds]), axis=1, return_inverse=True)
        frames = [f"{('left', 'right')[right]}/{n:04d}" for right, n in views.T.tolist()]
        pairs = np.stack([places.reshape(-1), *ends.reshape(2, -1)])
        return Overlaps(names, frames, pairs, source=path)

    def is_held_out(self, scene: str) -> bool:
        """Return whether a scene is for validation."""
        return scene.endswith("0")

    def folder(self, scene: str) -> Path:
        """Return the folder of a scene."""
        return self.root / "TRAIN" / scene

    def frames(self, scene: str) -> list[str]:
        """Return the names of a scene's frames, both renderings of each."""
        return [f"{view}_{look}" for view in super().frames(scene) for look in _PASSES]

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the names of `views` frames that overlap, directly or through others.

        Equal dice give equal frames. Cameras repeat only where not as many are connected.
        """
        drawn = super().draw(scene, views, dice)
        looks = dice.integers(len(_PASSES), size=views)
        return [f"{view}_{_PASSES[look]}" for view, look in zip(drawn, looks, strict=True)]

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        view = frame.rpartition("_")[0]
        folder = self.folder(scene)
        photo = folder / f"{frame}.jpg"
        return self.read_files(frame, photo=photo, stem=folder / view, farthest=_BACKGROUND)


def _letters(words: Shaped[np.ndarray, " pairs"]) -> Int[np.ndarray, " pairs"]:
    """Return the codes of the first letters."""
    return words.astype("S1").view(np.uint8).astype(np.int64)
