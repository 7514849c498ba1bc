"""DTU: objects on a table, photographed by a robot (Aanaes et al., IJCV 2016)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.cameras import (
    from_integer_centres,
    inverse_rigid,
    read_mvsnet_camera,
    read_mvsnet_pairs,
)
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import read_array, read_depth_pfm, read_image, read_mask, without_unknown

_LAYOUT = """
scan1/images/00000000.jpg         or .png
scan1/cams/00000000_cam.txt
scan1/depths/00000000.npy         in mm, rendered from the scan's mesh; or .pfm, of MVSNet
scan1/binary_masks/00000000.png   white where the object is; not needed with .pfm
scan1/pair.txt                    which photos overlap; needed for multi-view depth only
MVSNet's test set (YoYo000/MVSNet) has images, cams and pair.txt; Spann3R made depths and
binary_masks (HengyiWang/spann3r, docs/data_preprocess.md).
"""

TEST_SCANS = (
    *(1, 4, 9, 10, 11, 12, 13, 15, 23, 24, 29, 32, 33, 34),
    *(48, 49, 62, 75, 77, 110, 114, 118),
)
"""Scans that no method trains on (MVSNet's split)."""

_EROSION_PX = 10
"""Masks were drawn by hand; their border is not trusted."""


class Dtu:
    """The test scans of a folder, in mm; a scene is named like `scan1`, a frame like `00000000`."""

    def __init__(self, root: Path) -> None:
        """Find the scans.

        Raises:
            ValueError: The folder is laid out differently.
        """
        self.root = root
        scans = [root / f"scan{number}" for number in TEST_SCANS]
        scans = [scan for scan in scans if scan.is_dir()]
        parts = ("images", "cams", "depths")
        complete = bool(scans) and all((scan / part).is_dir() for scan in scans for part in parts)
        check_layout(root, complete, dataset="DTU (MVSNet's test set with depth)", expected=_LAYOUT)
        self.scenes = tuple(sorted(scan.name for scan in scans))

    def frames(self, scene: str) -> Sequence[str]:
        """Return the names of a scan's frames, by number.

        Raises:
            BrokenFrameError: There are none.
        """
        folder = self.root / scene / "images"
        names = sorted(path.stem for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
        if not names:
            raise BrokenFrameError(f"{folder}: has no photos; expected .jpg or .png")
        return names

    def overlapping(self, scene: str, frame: str) -> Sequence[str]:
        """Return the frames that share most with a frame, the best first, by MVSNet's choice.

        Raises:
            BrokenFrameError: `pair.txt` cannot be read or lacks the frame.
        """
        source = self.root / scene / "pair.txt"
        others = read_mvsnet_pairs(source).get(frame)
        if others is None:
            raise BrokenFrameError(f"{source}: lists no frames for {frame}")
        return others

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        folder = self.root / scene
        source = folder / "cams" / f"{frame}_cam.txt"
        intrinsics, camera_from_world = read_mvsnet_camera(source)
        photo = folder / "images" / f"{frame}.jpg"
        return checked_frame(
            name=frame,
            image=read_image(photo if photo.exists() else photo.with_suffix(".png")),
            depth=_depth(folder, frame),
            intrinsics=from_integer_centres(intrinsics),
            world_from_camera=inverse_rigid(camera_from_world),
            source=source,
        )


def _depth(folder: Path, frame: str) -> Float32[np.ndarray, "height width"]:
    rendered = folder / "depths" / f"{frame}.npy"
    if not rendered.exists() and rendered.with_suffix(".pfm").exists():
        return read_depth_pfm(rendered.with_suffix(".pfm"))
    depth = without_unknown(read_array(rendered))
    source = folder / "binary_masks" / f"{frame}.png"
    mask = read_mask(source) > 127
    if mask.shape != depth.shape:
        raise BrokenFrameError(f"{source}: has {mask.shape} pixels, its depth map {depth.shape}")
    return np.where(_eroded(mask, _EROSION_PX), depth, np.float32(0))


def _eroded(mask: Bool[np.ndarray, "height width"], size: int) -> Bool[np.ndarray, "height width"]:
    """Return where a square around a pixel is all inside; outside the image counts as inside.

    A square of even size reaches one pixel further up and left than down and right.
    """
    before, after = size // 2, size - 1 - size // 2
    for axis in (0, 1):
        margin = [(before, after) if side == axis else (0, 0) for side in (0, 1)]
        padded = np.pad(mask, margin, constant_values=True)
        windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=axis)
        mask = np.asarray(windows.all(axis=-1))
    return mask
