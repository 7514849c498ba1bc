"""ARKitScenes: rooms filmed with an iPad, with depth from its lidar (Baruch et al., 2021)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Shaped

from fast3r.data.datasets.cameras import intrinsics_matrix
from fast3r.data.datasets.indoor import IndoorScenes
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import read_depth_png, read_image


@dataclass(frozen=True)
class ArkitScenes(IndoorScenes):
    """ARKitScenes as DUSt3R's `preprocess_arkitscenes.py` leaves it; metres."""

    split: Literal["train", "test"] = "train"
    """The folder `Training` or `Test`."""

    title: ClassVar[str] = "ARKitScenes after DUSt3R's preprocess_arkitscenes.py"

    layout: ClassVar[str] = """
{folder}/all_metadata.npz                                   scenes
{folder}/<scene>/scene_metadata.npz                         images, intrinsics, trajectories
{folder}/<scene>/vga_wide/<scene>_<seconds>.jpg
{folder}/<scene>/lowres_depth/<scene>_<seconds>.png         millimetres, at the size of the photo
"""

    window_per_view: ClassVar[int] = 5

    @property
    def folder(self) -> Path:
        """Folder of the scenes of the split."""
        return self.root / {"train": "Training", "test": "Test"}[self.split]

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        metadata, source = self.metadata(scene), self.metadata_path(scene)
        row = metadata.rows[frame]
        folder, name = self.folder / scene, frame.removesuffix(".png")
        return checked_frame(
            name=frame,
            image=read_image(folder / "vga_wide" / f"{name}.jpg"),
            depth=read_depth_png(folder / "lowres_depth" / f"{name}.png", units_per_metre=1000),
            intrinsics=_matrix(metadata.intrinsics[row], source),
            world_from_camera=metadata.world_from_camera[row].copy(),
            source=source,
        )


def _matrix(camera: Shaped[np.ndarray, "..."], source: Path) -> Float[np.ndarray, "3 3"]:
    """Return the intrinsics from a photo's size, two focal lengths and the principal point.

    Apple's frameworks measure that from the corner of the first pixel, as we do.
    """
    if camera.shape != (6,):
        raise BrokenFrameError(
            f"{source}: has intrinsics of shape {camera.shape}; expected 6 numbers a frame"
        )
    return intrinsics_matrix(*camera[2:].tolist())
