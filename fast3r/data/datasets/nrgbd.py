"""NRGBD: rendered RGB-D videos of rooms (Azinovic et al., Neural RGB-D, CVPR 2022)."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.cameras import from_integer_centres, intrinsics_matrix, numbers
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import read_depth_png, read_image, read_lines

_LAYOUT = """
breakfast_room/poses.txt          four lines a frame: world from camera, OpenGL axes
breakfast_room/images/img0.png
breakfast_room/depth/depth0.png   in mm
"""

_FOCAL_PX = 554.2562584220408
_INTRINSICS = from_integer_centres(intrinsics_matrix(_FOCAL_PX, _FOCAL_PX, 320, 240))

_DEPTH_RANGE_M = (1e-3, 10.0)

_OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])


class Nrgbd:
    """The scenes; a frame is named by its number."""

    def __init__(self, root: Path) -> None:
        """Find the scenes.

        Raises:
            ValueError: The folder is laid out differently.
        """
        self.root = root
        found = root.glob("*/poses.txt")
        self.scenes = tuple(sorted(path.parent.name for path in found))
        complete = bool(self.scenes) and all((root / s / "depth").is_dir() for s in self.scenes)
        check_layout(root, complete, dataset="NRGBD", expected=_LAYOUT)

    def frames(self, scene: str) -> Sequence[str]:
        """Return the frames that have a photo and a pose, in order of capture.

        Raises:
            BrokenFrameError: The file of poses cannot be read, or no frame has both.
        """
        folder = self.root / scene
        poses = _poses(folder / "poses.txt")
        names = [name for name in poses if (folder / "images" / f"img{name}.png").exists()]
        if not names:
            raise BrokenFrameError(f"{folder}: none of its {len(poses)} poses has a photo")
        return names

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame, in metres.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        folder = self.root / scene
        source = folder / "poses.txt"
        pose = _poses(source).get(frame)
        if pose is None:
            raise BrokenFrameError(f"{source}: has no pose of frame {frame}")
        depth = read_depth_png(folder / "depth" / f"depth{frame}.png", units_per_metre=1000)
        nearest, farthest = _DEPTH_RANGE_M
        return checked_frame(
            name=frame,
            image=read_image(folder / "images" / f"img{frame}.png"),
            depth=np.where((depth >= nearest) & (depth <= farthest), depth, np.float32(0)),
            intrinsics=_INTRINSICS,
            world_from_camera=pose @ _OPENGL_FROM_OPENCV,
            source=source,
        )


@lru_cache(maxsize=4)
def _poses(path: Path) -> Mapping[str, Float[np.ndarray, "4 4"]]:
    """Return the poses by the number of their frame, without those that are not a number."""
    lines = [line for line in read_lines(path) if line]
    values = numbers(" ".join(lines).split(), source=path)
    if len(lines) % 4 or len(values) != 4 * len(lines):
        raise BrokenFrameError(
            f"{path}: has {len(lines)} lines with {len(values)} numbers; "
            "expected four lines of four numbers a frame"
        )
    matrices = values.reshape(-1, 4, 4)
    return {str(i): matrix for i, matrix in enumerate(matrices) if np.isfinite(matrix).all()}
