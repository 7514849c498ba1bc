"""ScanNet++: laser-scanned rooms, photographed and filmed (Yeshwanth et al., ICCV 2023)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fast3r.data.datasets.indoor import IndoorScenes
from fast3r.data.frame import Frame, checked_frame
from fast3r.data.reading import read_depth_png, read_image


@dataclass(frozen=True)
class ScanNetPP(IndoorScenes):
    """ScanNet++ as DUSt3R's `preprocess_scannetpp.py` leaves it; metres.

    That has scenes for training only. Frames of a scene are the photos, then those of the film.
    """

    title: ClassVar[str] = "ScanNet++ after DUSt3R's preprocess_scannetpp.py"

    layout: ClassVar[str] = """
all_metadata.npz                 scenes
<scene>/scene_metadata.npz       images, intrinsics, trajectories
<scene>/images/DSC01234.jpg      from the DSLR camera
<scene>/images/frame_000010.jpg  from the iPhone
<scene>/depth/DSC01234.png       millimetres
<scene>/depth/frame_000010.png
"""

    window_per_view: ClassVar[int] = 2

    def sequence(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the frames of one device, each as likely as it has frames.

        Both devices mix only where neither has enough frames.
        """
        names = self.frames(scene)
        film = [name for name in names if "frame_" in name]
        photos = [name for name in names if "frame_" not in name]
        enough = [names for names in (film, photos) if len(names) >= views] or [names]
        counts = np.array([len(names) for names in enough])
        return enough[int(dice.choice(len(enough), p=counts / counts.sum()))]

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        metadata = self.metadata(scene)
        row = metadata.rows[frame]
        folder = self.folder / scene
        return checked_frame(
            name=frame,
            image=read_image(folder / "images" / f"{frame}.jpg"),
            depth=read_depth_png(folder / "depth" / f"{frame}.png", units_per_metre=1000),
            # Unlike its siblings, this preprocessing stores COLMAP's convention, which is ours.
            intrinsics=metadata.intrinsics[row].copy(),
            world_from_camera=metadata.world_from_camera[row].copy(),
            source=self.metadata_path(scene),
        )
