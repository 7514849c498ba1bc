"""Films of rooms: what ScanNet++ and ARKitScenes have in common after DUSt3R's preprocessing."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from fast3r.data.dataset import check_layout
from fast3r.data.frame import BrokenFrameError, Frame
from fast3r.data.reading import read_arrays
from fast3r.data.sampling import draw_window


@dataclass(frozen=True)
class SceneMetadata:
    """Names and cameras of a scene's frames."""

    rows: dict[str, int]
    """Row of each frame in the arrays, by its name; in order of capture."""

    intrinsics: Float[np.ndarray, "frames ..."]
    """As stored: a matrix a frame for ScanNet++, six numbers a frame for ARKitScenes."""

    world_from_camera: Float[np.ndarray, "frames 4 4"]
    """Rigid poses, OpenCV axes, metres."""


@dataclass(frozen=True)
class IndoorScenes(ABC):
    """Scenes that an `all_metadata.npz` lists, each with a `scene_metadata.npz` of its frames."""

    root: Path
    """Folder of the preprocessed dataset."""

    title: ClassVar[str]
    """What the dataset is called."""

    layout: ClassVar[str]
    """The paths below `root`; `{folder}` stands for the name of the scenes' folder."""

    window_per_view: ClassVar[int]
    """Views are drawn from so many times as many frames in a row, as in the reference."""

    def __post_init__(self) -> None:
        index = self.folder / "all_metadata.npz"
        expected = self.layout.format(folder=self.folder.name)
        check_layout(self.root, index.is_file(), dataset=self.title, expected=expected)
        if not self.scenes:
            raise ValueError(f"{index} lists no scenes; was the preprocessing cut short?")

    @property
    def folder(self) -> Path:
        """Folder of the scenes."""
        return self.root

    @cached_property
    def scenes(self) -> tuple[str, ...]:
        """Names of the scenes, sorted."""
        (scenes,) = read_arrays(self.folder / "all_metadata.npz", "scenes")
        return tuple(sorted(str(scene) for scene in np.atleast_1d(scenes)))

    def frames(self, scene: str) -> list[str]:
        """Return the names of a scene's frames in order of capture.

        Raises:
            BrokenFrameError: The scene's index cannot be read.
        """
        return list(self.metadata(scene).rows)

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the names of `views` frames that were taken close in time.

        Equal dice give equal frames. Frames repeat only where there are fewer than `views`.

        Raises:
            BrokenFrameError: The scene's index cannot be read.
        """
        names = self.sequence(scene, views, dice)
        window = self.window_per_view * views
        return [names[place] for place in draw_window(len(names), views, dice, window=window)]

    def sequence(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the frames of which some that follow each other are drawn."""
        return self.frames(scene)

    @abstractmethod
    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used.
        """

    def metadata_path(self, scene: str) -> Path:
        """Return the index of a scene."""
        return self.folder / scene / "scene_metadata.npz"

    def metadata(self, scene: str) -> SceneMetadata:
        """Return what the index of a scene holds.

        Raises:
            BrokenFrameError: It cannot be read.
        """
        return _read_metadata(self.metadata_path(scene))


# A scene's frames are drawn, then read one by one: its file need not be opened for each.
@lru_cache(maxsize=32)
def _read_metadata(path: Path) -> SceneMetadata:
    images, intrinsics, poses = read_arrays(path, "images", "intrinsics", "trajectories")
    if min(images.ndim, intrinsics.ndim, poses.ndim) == 0 or not len(images):
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
