"""7-Scenes: hand-held RGB-D videos of seven places (Shotton et al., CVPR 2013)."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.cameras import from_integer_centres, intrinsics_matrix, read_matrix
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import read_depth_png, read_image, read_lines

_LAYOUT = """
chess/TestSplit.txt                       a sequence a line, such as sequence3
chess/seq-03/frame-000000.color.png
chess/seq-03/frame-000000.depth.proj.png  depth seen from the colour camera, in mm
chess/seq-03/frame-000000.pose.txt
The download has depth seen from the depth camera only (.depth.png); the preprocessing of
SimpleRecon (nianticlabs/simplerecon, data_scripts/7scenes_preprocessing.py) makes .depth.proj.png.
"""

_INTRINSICS = from_integer_centres(intrinsics_matrix(525, 525, 320, 240))
"""Of the colour camera, as everybody assumes: the download only tells those of the depth camera."""

_DEPTH_RANGE_M = (1e-3, 10.0)
"""Beyond lie errors of the sensor and its codes for no depth (65535 mm)."""

_COLOR = re.compile(r"(frame-\d+)\.color\.png")


class SevenScenes:
    """The test sequences; a scene is named like `chess/seq-03`."""

    def __init__(self, root: Path) -> None:
        """Find the sequences.

        Raises:
            ValueError: The folder is laid out differently, or a listed sequence is missing.
        """
        self.root = root
        lists = sorted(root.glob("*/TestSplit.txt"))
        check_layout(root, bool(lists), dataset="7-Scenes", expected=_LAYOUT)
        self.scenes = tuple(sorted(scene for path in lists for scene in _sequences(path)))
        for scene in self.scenes:
            folder = root / scene
            complete = any(folder.glob("frame-*.depth.proj.png"))
            check_layout(folder, complete, dataset="a sequence of 7-Scenes", expected=_LAYOUT)

    def frames(self, scene: str) -> Sequence[str]:
        """Return the names of a scene's frames, such as `frame-000000`, in order of capture.

        Raises:
            BrokenFrameError: There are none.
        """
        found = (_COLOR.fullmatch(path.name) for path in (self.root / scene).iterdir())
        names = sorted(match[1] for match in found if match)
        if not names:
            raise BrokenFrameError(f"{self.root / scene}: has no frame-*.color.png")
        return names

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame, in metres.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        stem = self.root / scene / frame
        pose = Path(f"{stem}.pose.txt")
        depth = read_depth_png(Path(f"{stem}.depth.proj.png"), units_per_metre=1000)
        nearest, farthest = _DEPTH_RANGE_M
        return checked_frame(
            name=frame,
            image=read_image(Path(f"{stem}.color.png")),
            depth=np.where((depth >= nearest) & (depth <= farthest), depth, np.float32(0)),
            intrinsics=_INTRINSICS,
            world_from_camera=read_matrix(pose, 4, 4),
            source=pose,
        )


def _sequences(path: Path) -> list[str]:
    """Return the scenes of a list whose lines end in a number: `sequence3` is `seq-03`."""
    digits = (re.search(r"\d{1,4}$", line) for line in read_lines(path) if line)
    return [f"{path.parent.name}/seq-{int(match[0]):02}" for match in digits if match]
