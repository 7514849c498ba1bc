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
from fast3r.data.datasets.cameras import intrinsics_matrix, inverse_rigid, rigid
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import read_image

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

_MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What is raised where JSON holds something else than expected."""

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
        intrinsics, rotation, translation = _camera(found, source, *image.shape[:2])
        if np.abs(translation).max() > _MAX_TRANSLATION:
            raise BrokenFrameError(f"{source}: {scene}/{frame} lies at {translation.tolist()}")
        return checked_frame(
            name=frame,
            image=image,
            depth=None,
            intrinsics=intrinsics,
            world_from_camera=inverse_rigid(rigid(rotation, translation)),
            source=source,
        )


def _camera(
    viewpoint: Mapping[str, Any], source: Path, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return intrinsics, rotation and translation in OpenCV's axes.

    PyTorch3D's axes point left and up from the centre.

    Raises:
        BrokenFrameError: The numbers are none, or not as many as they should be.
    """
    half = np.array([width, height]) / 2
    try:
        isotropic = viewpoint.get("intrinsics_format") == "ndc_isotropic"
        unit_px = np.full(2, half.min()) if isotropic else half
        focal_px = _numbers(viewpoint["focal_length"], 2) * unit_px
        centre_px = half - _numbers(viewpoint["principal_point"], 2) * unit_px
        rotation = _OPENCV_FROM_PYTORCH3D @ _numbers(viewpoint["R"], 3, 3).T
        translation = _OPENCV_FROM_PYTORCH3D @ _numbers(viewpoint["T"], 3)
    except _MISFITS as error:
        raise BrokenFrameError(
            f"{source}: has a camera {viewpoint!r:.200} ({error!r}); "
            "expected focal_length, principal_point, R and T"
        ) from error
    return intrinsics_matrix(*focal_px, *centre_px), rotation, translation


def _numbers(values: Any, *shape: int) -> np.ndarray:
    numbers = np.array(values, dtype=np.float64)
    if numbers.shape != shape or not np.isfinite(numbers).all():
        raise ValueError(f"{values!r:.50} is not {shape} finite numbers")
    return numbers


def _listed(category: Path, listing: Path) -> dict[str, list[str]]:
    """Return the frames of the listed sequences whose cameras are good."""
    path = category / "sequence_annotations.jgz"
    sequences, listed = _json(path), _json(listing)
    frames: dict[str, list[tuple[int, str]]] = {}
    try:
        good = {
            str(entry["sequence_name"])
            for entry in sequences
            if float(entry.get("viewpoint_quality_score") or 0) > _MIN_QUALITY
        }
        for sequence, number, photo in listed.get("test", []):
            if str(sequence) in good:
                scene = f"{category.name}/{sequence}"
                frames.setdefault(scene, []).append((int(number), Path(photo).stem))
    except _MISFITS as error:
        raise BrokenFrameError(
            f"{path} and {listing} are not understood ({error!r}); expected names of sequences "
            "with their quality, and a list `test` of sequence, number and photo"
        ) from error
    return {scene: [name for _, name in sorted(found)] for scene, found in frames.items()}


@lru_cache(maxsize=1)
def _cameras(path: Path) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Return PyTorch3D's camera of each frame, by the names of its sequence and itself."""
    try:
        return {
            (str(entry["sequence_name"]), Path(entry["image"]["path"]).stem): entry["viewpoint"]
            for entry in _json(path)
        }
    except _MISFITS as error:
        raise BrokenFrameError(
            f"{path}: is not understood ({error!r}); expected a sequence_name, an image with its "
            "path and a viewpoint of each photo"
        ) from error


def _json(path: Path) -> Any:
    try:
        content = path.read_bytes()
        return json.loads(gzip.decompress(content) if path.suffix == ".jgz" else content)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise BrokenFrameError(f"{path}: {error}; expected JSON") from error
