"""ScanNet++: laser-scanned rooms, photographed and filmed (Yeshwanth et al., ICCV 2023)."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.scene_metadata import SceneMetadata, listed_scenes, read_scene_metadata
from fast3r.data.frame import Frame
from fast3r.data.reading import checked_frame, read_depth_png, read_image
from fast3r.data.sampling import draw_window

_WINDOW_PER_VIEW = 2
"""Views are drawn from twice as many frames in a row, as in the reference."""

_LAYOUT = """
all_metadata.npz                 scenes
<scene>/scene_metadata.npz       images, intrinsics, trajectories
<scene>/images/DSC01234.jpg      from the DSLR camera
<scene>/images/frame_000010.jpg  from the iPhone
<scene>/depth/DSC01234.png       millimetres
<scene>/depth/frame_000010.png
"""


@dataclass(frozen=True)
class ScanNetPP:
    """ScanNet++ as DUSt3R's `preprocess_scannetpp.py` leaves it; metres.

    That has scenes for training only.
    """

    root: Path
    """Folder of the preprocessed dataset."""

    def __post_init__(self) -> None:
        check_layout(
            self.root,
            self._index.is_file(),
            dataset="ScanNet++ after DUSt3R's preprocess_scannetpp.py",
            expected=_LAYOUT,
        )
        if not self.scenes:
            raise ValueError(f"{self._index} lists no scenes; was the preprocessing cut short?")

    @property
    def scenes(self) -> tuple[str, ...]:
        """Names of the scenes, sorted."""
        return self._scenes

    def frames(self, scene: str) -> list[str]:
        """Return the names of a scene's frames: the photos, then the frames of the film.

        Raises:
            BrokenFrameError: The scene's index cannot be read.
        """
        return list(self._metadata(scene).rows)

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the names of `views` frames that one device took close in time.

        Equal dice give equal frames. Both devices mix only where neither has enough frames, and
        frames repeat only where the scene has fewer than `views`.

        Raises:
            BrokenFrameError: The scene's index cannot be read.
        """
        names = self._sequence(scene, views, dice)
        window = _WINDOW_PER_VIEW * views
        return [names[place] for place in draw_window(len(names), views, dice, window=window)]

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        metadata = self._metadata(scene)
        row = metadata.rows[frame]
        folder = self.root / scene
        return checked_frame(
            name=frame,
            image=read_image(folder / "images" / f"{frame}.jpg"),
            depth=read_depth_png(folder / "depth" / f"{frame}.png", units_per_metre=1000),
            # Unlike its siblings, this preprocessing stores COLMAP's convention, which is ours.
            intrinsics=metadata.intrinsics[row].copy(),
            world_from_camera=metadata.world_from_camera[row].copy(),
            source=folder / "scene_metadata.npz",
        )

    @property
    def _index(self) -> Path:
        return self.root / "all_metadata.npz"

    @cached_property
    def _scenes(self) -> tuple[str, ...]:
        return listed_scenes(self._index)

    def _metadata(self, scene: str) -> SceneMetadata:
        return read_scene_metadata(self.root / scene / "scene_metadata.npz")

    def _sequence(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the frames of one device, each as likely as it has frames."""
        names = self.frames(scene)
        film = [name for name in names if "frame_" in name]
        photos = [name for name in names if "frame_" not in name]
        enough = [names for names in (film, photos) if len(names) >= views] or [names]
        counts = np.array([len(names) for names in enough])
        return enough[int(dice.choice(len(enough), p=counts / counts.sum()))]
