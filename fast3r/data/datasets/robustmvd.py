"""The test sets of the Robust Multi-view Depth Benchmark (Schroeppel et al., 3DV 2022).

Its repository (lmb-freiburg/robustmvd) has scripts that lay out the datasets, and lists of
samples that name the photos of each, with their cameras: `rmvd/data/sample_lists/*.pickle`.
"""

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.cameras import from_integer_centres, inverse_rigid
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import (
    read_arrays,
    read_depth_pfm,
    read_depth_png,
    read_image,
    read_raw_depth,
    resized,
    without_unknown,
)

RobustMvdSet = Literal["eth3d", "dtu", "scannet", "tanks_and_temples"]


@dataclass(frozen=True)
class _Sample:
    photos: Sequence[Path]
    depth: Path
    intrinsics: Sequence[Float[np.ndarray, "3 3"]]
    camera_from_world: Sequence[Float[np.ndarray, "4 4"]]
    key: int


class RobustMvd:
    """The samples of one test set, in metres.

    A scene is a sample, a frame the place of a photo in it. The first frame is the key view, and
    only it has depth.
    """

    def __init__(self, root: Path, test_set: RobustMvdSet) -> None:
        """Read the list of samples, `root/eth3d.robustmvd.mvd.pickle`.

        Raises:
            ValueError: The list is missing, or is none.
        """
        self.root = root
        self.test_set: RobustMvdSet = test_set
        listing = root / f"{test_set}.robustmvd.mvd.pickle"
        expected = f"{listing.name}, from rmvd/data/sample_lists of lmb-freiburg/robustmvd,\n"
        expected += "beside what its rmvd/data/scripts lay out"
        check_layout(root, listing.is_file(), dataset=f"RobustMVD's {test_set}", expected=expected)
        samples = _samples(root, listing)
        self._samples = {f"{place:03}": sample for place, sample in enumerate(samples)}
        self.scenes = tuple(self._samples)

    def frames(self, scene: str) -> Sequence[str]:
        """Return the frames of a sample, the key view first."""
        sample = self._samples[scene]
        others = (place for place in range(len(sample.photos)) if place != sample.key)
        return [str(place) for place in (sample.key, *others)]

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame; photos of the key view have the size of its depth map.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        sample, place = self._samples[scene], int(frame)
        photo = read_image(sample.photos[place])
        depth = None
        intrinsics = self._half_pixels(sample.intrinsics[place])
        if place == sample.key:
            depth = _DEPTH_READERS[self.test_set](sample.depth, photo.shape)
            height, width = depth.shape
            scale = np.diag([width / photo.shape[1], height / photo.shape[0], 1.0])
            photo, intrinsics = resized(photo, height, width), scale @ intrinsics
        pose = inverse_rigid(np.asarray(sample.camera_from_world[place], dtype=np.float64))
        return checked_frame(frame, photo, depth, intrinsics, pose, source=sample.photos[place])

    def _half_pixels(self, intrinsics: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
        # Cameras of ETH3D and Tanks and Temples come from COLMAP.
        from_colmap = self.test_set in ("eth3d", "tanks_and_temples")
        return np.asarray(intrinsics) if from_colmap else from_integer_centres(intrinsics)


_DEPTH_READERS: Mapping[
    RobustMvdSet, Callable[[Path, tuple[int, ...]], Float32[np.ndarray, "_ _"]]
] = {
    "eth3d": lambda path, shape: read_raw_depth(path, *shape[:2]),
    "dtu": lambda path, _: read_depth_pfm(path) / np.float32(1000),
    "scannet": lambda path, _: read_depth_png(path, units_per_metre=1000),
    "tanks_and_temples": lambda path, _: without_unknown(read_arrays(path, "arr_0")[0]),
}


class _Record:
    """Stands for any class of the benchmark: its attributes, without its code."""


_RECONSTRUCT = np.zeros(0).__reduce__()[0]
_FROM_BUFFER = np.zeros(0).__reduce_ex__(5)[0]
_SCALAR = np.float64(0).__reduce__()[0]

_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FROM_BUFFER for core in ("core", "_core")},
}
"""Makers of arrays, under their names in NumPy 1 and 2."""


# What unpickling, or using what came of it, raises over other files.
_NO_LIST = (
    *(pickle.UnpicklingError, EOFError, ValueError, ArithmeticError, MemoryError, RuntimeError),
    *(AttributeError, LookupError, TypeError, AssertionError),
)


class _ListReader(pickle.Unpickler):
    """Unpickles numbers, text and arrays, and nothing that could run."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name.startswith("rmvd."):
            return _Record
        if (module_name, global_name) in _ALLOWED:
            return _ALLOWED[module_name, global_name]
        raise pickle.UnpicklingError(f"it wants {module_name}.{global_name}")


def _check_memory(content: bytes) -> None:
    """Refuse a pickle that counts what it remembers beyond its own length: it makes room for all.

    Raises:
        ValueError: It does, or it is no pickle.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name.endswith("PUT") and int(argument or 0) > len(content):
            raise ValueError(f"it remembers something as number {argument}")


def _samples(root: Path, listing: Path) -> list[_Sample]:
    try:
        content = listing.read_bytes()
        _check_memory(content)
        records = _ListReader(io.BytesIO(content)).load()
        samples = [_sample(root, record) for record in records]
    except _NO_LIST as error:
        raise ValueError(f"{listing} is no list of samples of RobustMVD: {error}") from error
    if not samples:
        raise ValueError(f"{listing} is empty; expected a list of samples of RobustMVD")
    return samples


def _sample(root: Path, record: Any) -> _Sample:
    parts: dict[str, Any] = record.data
    base = root / record.base
    sample = _Sample(
        photos=[base / photo.path for photo in parts["images"]],
        depth=base / parts["depth"].path,
        intrinsics=parts["intrinsics"],
        camera_from_world=parts["poses"],
        key=int(parts.get("keyview_idx", 0)),
    )
    lengths = {len(sample.photos), len(sample.intrinsics), len(sample.camera_from_world)}
    if len(lengths) != 1 or not 0 <= sample.key < len(sample.photos):
        raise BrokenFrameError(f"{record.base}: has lists of unequal lengths: {sorted(lengths)}")
    return sample
