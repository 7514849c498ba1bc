"""WildRGB-D: phone videos around objects, with measured depth (Xia et al., CVPR 2024)."""

from dataclasses import dataclass
from typing import ClassVar

from fast3r.data.datasets.cameras import from_integer_centres
from fast3r.data.datasets.selected_sequences import SelectedSequences
from fast3r.data.frame import Frame, checked_frame
from fast3r.data.reading import read_arrays, read_depth_png, read_image


@dataclass(frozen=True)
class WildRgbd(SelectedSequences):
    """WildRGB-D as DUSt3R's `preprocess_wildrgbd.py` leaves it; metres."""

    title: ClassVar[str] = "WildRGB-D after DUSt3R's preprocess_wildrgbd.py"

    layout: ClassVar[str] = """
selected_seqs_{split}.json                   {{category: {{sequence: [frame numbers]}}}}
<category>/<sequence>/rgb/00000.jpg
<category>/<sequence>/metadata/00000.npz     camera_pose, camera_intrinsics
<category>/<sequence>/depth/00000.png        millimetres
<category>/<sequence>/masks/00000.png
"""

    frame_name: ClassVar[str] = "{:05d}"

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        folder = self.root / scene
        camera_path = folder / "metadata" / f"{frame}.npz"
        intrinsics, pose = read_arrays(camera_path, "camera_intrinsics", "camera_pose")
        depth = read_depth_png(folder / "depth" / f"{frame}.png", units_per_metre=1000)
        return checked_frame(
            name=frame,
            image=read_image(folder / "rgb" / f"{frame}.jpg"),
            depth=self._masked(depth, folder / "masks" / f"{frame}.png"),
            intrinsics=from_integer_centres(intrinsics),
            world_from_camera=pose,
            source=camera_path,
        )
