"""CO3Dv2 as downloaded: videos around objects with COLMAP's cameras (Reizenstein et al., 2021)."""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.camera_text import intrinsics_matrix, inverse_rigid, rigid
from fast3r.data.frame import BrokenFrameError, Frame
from fast3r.data.reading import checked_frame, read_image

_LAYOUT = """
apple/frame_annotations.jgz
apple/sequence_annotations.jgz
apple/set_lists/set_lists_fewview_dev.json
apple/110_13051_23361/images/frame000001.jpg
"""

_MIN_QUALITY = 0.5
"""Of a sequence's cameras; what RelPose, PoseDiffusion and VGGT ask for."""

_MAX_TRANSLATION = 1e5
"""A camera beyond this was lost by COLMAP."""

_OPENCV_FROM_PYTORCH3D = np.diag([-1.0, -1.0, 1.0])


class Co3dRaw:
    """Sequences with good cameras of the `test` subset of the list `fewview_dev`.

    A scene is named like `apple/110_13051_23361`, a frame like `frame000001`. Depth is not
    read. Opening a category takes a minute and a few GiB, since its cameras are one JSON file.
    """

    def __init__(self, root: Path) -> None:
        """Find the sequences.

        Raises:
            ValueError: The folder is laid out differently.
        """
        self.root = root
        lists = sorted(root.glob("*/set_lists/set_lists_fewview_dev.json"))
        check_layout(root, bool(lists), dataset="CO3Dv2", expected=_LAYOUT)
        self._frames: dict[str, list[str]] = {}
        for path in lists:
            self._frames.update(_listed(path.parents[1], path))
        check_layout(root, bool(self._frames), dataset="CO3Dv2", expected=_LAYOUT)
        self.scenes = tuple(sorted(self._frames))

    def frames(self, scene: str) -> Sequence[str]:
        """Return the names of a sequence's frames, in order of capture."""
        return self._frames[scene]

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        category, sequence = scene.split("/")
        source = self.root / category / "frame_annotations.jgz"
        found = _cameras(source).get((sequence, frame))
        if found is None:
            raise BrokenFrameError(f"{source}: has no frame {frame} of {sequence}")
        image = read_image(self.root / scene / "images" / f"{frame}.jpg")
        rotation = _OPENCV_FROM_PYTORCH3D @ np.array(found["R"]).T
        translation = _OPENCV_FROM_PYTORCH3D @ np.array(found["T"])
        if np.abs(translation).max() > _MAX_TRANSLATION:
            raise BrokenFrameError(f"{source}: {scene}/{frame} lies at {translation.tolist()}")
        return checked_frame(
            name=frame,
            image=image,
            depth=None,
            intrinsics=_intrinsics(found, *image.shape[:2]),
            world_from_camera=inverse_rigid(rigid(rotation, translation)),
            source=source,
        )


def _intrinsics(viewpoint: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    """Return intrinsics from PyTorch3D's, whose axes point left and up from the centre."""
    isotropic = viewpoint.get("intrinsics_format") == "ndc_isotropic"
    half = np.array([width, height]) / 2
    unit_px = np.full(2, half.min()) if isotropic else half
    focal_px = np.array(viewpoint["focal_length"]) * unit_px
    centre_px = half - np.array(viewpoint["principal_point"]) * unit_px
    return intrinsics_matrix(*focal_px, *centre_px)


def _listed(category: Path, listing: Path) -> dict[str, list[str]]:
    """Return the frames of the listed sequences whose cameras are good."""
    sequences = _json(category / "sequence_annotations.jgz")
    good = {
        entry["sequence_name"]
        for entry in sequences
        if (entry.get("viewpoint_quality_score") or 0) > _MIN_QUALITY
    }
    frames: dict[str, list[tuple[int, str]]] = {}
    for sequence, number, path in _json(listing).get("test", []):
        if sequence in good:
            scene = f"{category.name}/{sequence}"
            frames.setdefault(scene, []).append((number, Path(path).stem))
    return {scene: [name for _, name in sorted(found)] for scene, found in frames.items()}


@lru_cache(maxsize=1)
def _cameras(path: Path) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Return PyTorch3D's camera of each frame, by the names of its sequence and itself."""
    return {
        (entry["sequence_name"], Path(entry["image"]["path"]).stem): entry["viewpoint"]
        for entry in _json(path)
    }


def _json(path: Path) -> Any:
    try:
        content = path.read_bytes()
        return json.loads(gzip.decompress(content) if path.suffix == ".jgz" else content)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BrokenFrameError(f"{path}: {error}; expected JSON") from error
