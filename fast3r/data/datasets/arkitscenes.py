"""ARKitScenes: rooms filmed with an iPad, with depth from its lidar (Baruch et al., 2021)."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.scene_metadata import SceneMetadata, listed_scenes, read_scene_metadata
from fast3r.data.frame import BrokenFrameError, Frame
from fast3r.data.reading import checked_frame, read_depth_png, read_image
from fast3r.data.sampling import draw_window

_WINDOW_PER_VIEW = 5
"""Views are drawn from five times as many frames in a row, as in the reference."""

_FOLDERS = {"train": "Training", "test": "Test"}

_LAYOUT = """
{folder}/all_metadata.npz                                   scenes
{folder}/<scene>/scene_metadata.npz                         images, intrinsics, trajectories
{folder}/<scene>/vga_wide/<scene>_<seconds>.jpg
{folder}/<scene>/lowres_depth/<scene>_<seconds>.png         millimetres, at the size of the photo
"""


@dataclass(frozen=True)
class ArkitScenes:
    """ARKitScenes as DUSt3R's `preprocess_arkitscenes.py` leaves it; metres."""

    root: Path
    """Folder of the preprocessed dataset."""

    split: Literal["train", "test"] = "train"
    """The folder `Training` or `Test`."""

    def __post_init__(self) -> None:
        check_layout(
            self.root,
            self._index.is_file(),
            dataset="ARKitScenes after DUSt3R's preprocess_arkitscenes.py",
            expected=_LAYOUT.format(folder=_FOLDERS[self.split]),
        )
        if not self.scenes:
            raise ValueError(f"{self._index} lists no scenes; was the preprocessing cut short?")

    @property
    def scenes(self) -> tuple[str, ...]:
        """Names of the scenes, sorted."""
        return self._scenes

    def frames(self, scene: str) -> list[str]:
        """Return the names of a scene's frames in order of capture.

        Raises:
            BrokenFrameError: The scene's index cannot be read.
        """
        return list(self._metadata(scene).rows)

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the names of `views` frames that were taken close in time.

        Equal dice give equal frames. Frames repeat only where there are fewer than `views`.

        Raises:
            BrokenFrameError: The scene's index cannot be read.
        """
        names = self.frames(scene)
        window = _WINDOW_PER_VIEW * views
        return [names[place] for place in draw_window(len(names), views, dice, window=window)]

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        metadata = self._metadata(scene)
        row = metadata.rows[frame]
        folder = self.root / _FOLDERS[self.split] / scene
        source = folder / "scene_metadata.npz"
        name = frame.removesuffix(".png")
        return checked_frame(
            name=frame,
            image=read_image(folder / "vga_wide" / f"{name}.jpg"),
            depth=read_depth_png(folder / "lowres_depth" / f"{name}.png", units_per_metre=1000),
            intrinsics=_matrix(metadata.intrinsics[row], source),
            world_from_camera=metadata.world_from_camera[row].copy(),
            source=source,
        )

    @property
    def _index(self) -> Path:
        return self.root / _FOLDERS[self.split] / "all_metadata.npz"

    @cached_property
    def _scenes(self) -> tuple[str, ...]:
        return listed_scenes(self._index)

    def _metadata(self, scene: str) -> SceneMetadata:
        return read_scene_metadata(self._index.parent / scene / "scene_metadata.npz")


def _matrix(camera: Shaped[np.ndarray, "..."], source: Path) -> Float[np.ndarray, "3 3"]:
    """Return the intrinsics from a photo's size, two focal lengths and the principal point.

    Apple's frameworks measure that from the corner of the first pixel, as we do.
    """
    if camera.shape != (6,):
        raise BrokenFrameError(
            f"{source}: has intrinsics of shape {camera.shape}; expected 6 numbers a frame"
        )
    _, _, focal_x_px, focal_y_px, centre_x_px, centre_y_px = camera.tolist()
    return np.array([[focal_x_px, 0, centre_x_px], [0, focal_y_px, centre_y_px], [0, 0, 1]])
