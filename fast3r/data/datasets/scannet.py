"""ScanNet: RGB-D videos of rooms (Dai et al., CVPR 2017), as its reader exports them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.cameras import from_integer_centres, read_matrix
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import read_depth_png, read_image, resized

_LAYOUT = """
scene0707_00/color/0.jpg
scene0707_00/depth/0.png                     in mm
scene0707_00/pose/0.txt                      world from camera; -inf where tracking was lost
scene0707_00/intrinsic/intrinsic_depth.txt
Made from scene0707_00.sens by SensReader/python/reader.py of ScanNet/ScanNet with all --export_
options.
"""


class ScanNet:
    """The scenes of a folder; a frame is named by its number.

    Photos are scaled to the size of the depth maps, whose camera is taken for both.
    """

    def __init__(self, root: Path) -> None:
        """Find the scenes.

        Raises:
            ValueError: The folder is laid out differently.
        """
        self.root = root
        scenes = [path for path in root.glob("scene*_*") if path.is_dir()]
        parts = ("color", "depth", "pose", "intrinsic")
        complete = bool(scenes) and all((s / part).is_dir() for s in scenes for part in parts)
        check_layout(root, complete, dataset="ScanNet", expected=_LAYOUT)
        self.scenes = tuple(sorted(scene.name for scene in scenes))

    def frames(self, scene: str) -> Sequence[str]:
        """Return the names of the frames that have a pose, in order of capture.

        Raises:
            BrokenFrameError: There are none, or a pose cannot be read.
        """
        folder = self.root / scene
        photos = sorted((folder / "color").glob("*.jpg"), key=lambda path: _number(path))
        names = [path.stem for path in photos]
        tracked = [n for n in names if np.isfinite(read_matrix(_pose(folder, n), 4, 4)).all()]
        if not tracked:
            raise BrokenFrameError(f"{folder}: none of its {len(names)} photos has a finite pose")
        return tracked

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame, in metres.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        folder = self.root / scene
        depth = read_depth_png(folder / "depth" / f"{frame}.png", units_per_metre=1000)
        intrinsics = read_matrix(folder / "intrinsic" / "intrinsic_depth.txt", 4, 4)[:3, :3]
        photo = read_image(folder / "color" / f"{frame}.jpg")
        return checked_frame(
            name=frame,
            image=resized(photo, *depth.shape),
            depth=depth if depth.any() else None,
            intrinsics=from_integer_centres(intrinsics),
            world_from_camera=read_matrix(_pose(folder, frame), 4, 4),
            source=_pose(folder, frame),
        )


def _pose(folder: Path, frame: str) -> Path:
    return folder / "pose" / f"{frame}.txt"


def _number(path: Path) -> int:
    if not path.stem.isdigit():
        raise BrokenFrameError(f"{path}: expected a photo named by its number, such as 0.jpg")
    return int(path.stem)
