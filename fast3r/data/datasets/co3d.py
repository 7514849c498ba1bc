"""CO3Dv2: turntable-like videos of everyday objects (Reizenstein et al., ICCV 2021)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Shaped

from fast3r.data.datasets.cameras import from_integer_centres
from fast3r.data.datasets.selected_sequences import SelectedSequences
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import read_arrays, read_depth_png, read_image

_FULL_SCALE = 65535
"""Stored value of a depth map's `maximum_depth`."""


@dataclass(frozen=True)
class Co3d(SelectedSequences):
    """CO3Dv2 as DUSt3R's `preprocess_co3d.py` leaves it. Each scene has a unit of its own."""

    title: ClassVar[str] = "CO3Dv2 after DUSt3R's preprocess_co3d.py"

    layout: ClassVar[str] = """
selected_seqs_{split}.json                            {{category: {{sequence: [frame numbers]}}}}
<category>/<sequence>/images/frame000001.jpg
<category>/<sequence>/images/frame000001.npz          camera_pose, camera_intrinsics, maximum_depth
<category>/<sequence>/depths/frame000001.jpg.geometric.png
<category>/<sequence>/masks/frame000001.png
"""

    frame_name: ClassVar[str] = "frame{:06d}"

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used. A few frames of CO3Dv2 have no depth at all.
        """
        folder = self.root / scene
        camera_path = folder / "images" / f"{frame}.npz"
        intrinsics, pose, maximum_depth = read_arrays(
            camera_path, "camera_intrinsics", "camera_pose", "maximum_depth"
        )
        if not _is_length(maximum_depth):
            raise BrokenFrameError(
                f"{camera_path}: maximum_depth is {maximum_depth}; expected a number above 0"
            )
        depth = read_depth_png(
            folder / "depths" / f"{frame}.jpg.geometric.png",
            units_per_metre=_FULL_SCALE / maximum_depth.item(),
        )
        return checked_frame(
            name=frame,
            image=read_image(folder / "images" / f"{frame}.jpg"),
            depth=self._masked(depth, folder / "masks" / f"{frame}.png"),
            intrinsics=from_integer_centres(intrinsics),
            world_from_camera=pose,
            source=camera_path,
        )


def _is_length(number: Shaped[np.ndarray, "..."]) -> bool:
    return number.size == 1 and number.dtype.kind in "iuf" and 0 < number.item() < np.inf
