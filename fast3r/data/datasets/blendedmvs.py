"""BlendedMVS: meshes of places and objects, rendered and blended with photos (Yao et al., 2020)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Shaped

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.cameras import (
    inverse_rigid,
    numbers,
    read_mvsnet_camera,
    read_mvsnet_pairs,
    rigid,
)
from fast3r.data.datasets.paired_scenes import Overlaps, PairedScenes, pair_columns, whole_numbers
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import (
    read_array,
    read_arrays,
    read_depth_pfm,
    read_image,
    read_image_size,
    read_lines,
)
from fast3r.data.sampling import draw_connected

_SCENE_NAME = re.compile("[0-9a-f]{24}")

_LAYOUT = """
<scene>/blended_images/00000000.jpg          768x576 or 2048x1536 px
<scene>/rendered_depth_maps/00000000.pfm     depth
<scene>/cams/00000000_cam.txt                pose, intrinsics, range of depths
<scene>/cams/pair.txt                        which frames overlap
or, after DUSt3R's preprocess_blendedMVS.py, <scene>/00000000.{jpg,exr,npz} and
blendedmvs_pairs.npy
"""

_PAIRS = "blendedmvs_pairs.npy"

_MARGIN = 1 / 5
"""Of the width and the height: a principal point nearer to the border is not used."""

_MAX_RATIO, _MAX_RATIO_TO_FIRST = 100.0, 10.0
"""Of the largest depths of the views of a draw: of any two, and of any to the first."""

_TRIES = 20


def open_blendedmvs(
    root: Path, split: Literal["train", "val"] = "train"
) -> "BlendedMVS | PreprocessedBlendedMVS":
    """Return BlendedMVS as it is published or as DUSt3R preprocesses it, whichever is there.

    Raises:
        ValueError: Neither is.
    """
    kind = PreprocessedBlendedMVS if (root / _PAIRS).is_file() else BlendedMVS
    return kind(root, split)


@dataclass(frozen=True)
class BlendedMVS:
    """BlendedMVS, or its superset BlendedMVG, as published; Spann3R and the reference read it so.

    Each scene has a unit of its own. Pixel centres are at +0.5 in its cameras already: principal
    points scatter around half the width and height, and the authors' own MVSNet samples so.
    Validation takes the scenes whose name ends in a number, of 16 hexadecimal digits, that is
    divisible by ten, as in DUSt3R.
    """

    root: Path
    """Folder of the dataset."""

    split: Literal["train", "val"] = "train"
    """Which scenes to read."""

    def __post_init__(self) -> None:
        check_layout(
            self.root,
            any(self.root.glob("*/cams/pair.txt")),
            dataset="BlendedMVS",
            expected=_LAYOUT,
        )
        if not self.scenes:
            raise ValueError(f"{self.root}: no scene there belongs to the split {self.split!r}")

    @cached_property
    def scenes(self) -> tuple[str, ...]:
        """Names of the scenes of the split, sorted."""
        names = sorted(path.parent.parent.name for path in self.root.glob("*/cams/pair.txt"))
        return tuple(name for name in names if _is_held_out(name) == (self.split == "val"))

    def frames(self, scene: str) -> list[str]:
        """Return the names of a scene's frames, in the order of the list of pairs.

        Raises:
            BrokenFrameError: The list cannot be read.
        """
        return list(read_mvsnet_pairs(self.root / scene / "cams" / "pair.txt"))

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the names of `views` frames that overlap, directly or through others.

        Equal dice give equal frames, which repeat only where not as many are connected. Left out
        are frames without depth and those whose principal point is far off the centre, and draws
        in which one frame sees much farther than the others.

        Raises:
            BrokenFrameError: The scene has no usable frames, or none that fit together.
        """
        reach = _reach_of_usable(self.root / scene)
        neighbours = read_mvsnet_pairs(self.root / scene / "cams" / "pair.txt")
        graph = {name: neighbours[name] for name in reach}
        for _ in range(_TRIES):
            drawn = draw_connected(graph, views, dice)
            reaches = [reach[name] for name in drawn]
            if max(reaches) <= min(_MAX_RATIO * min(reaches), _MAX_RATIO_TO_FIRST * reaches[0]):
                return drawn
        raise BrokenFrameError(
            f"{self.root / scene}: depth ranges of frames differ too much: in {_TRIES} draws of "
            f"{views}, none kept within {_MAX_RATIO_TO_FIRST:g} times the first"
        )

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        folder = self.root / scene
        camera = folder / "cams" / f"{frame}_cam.txt"
        intrinsics, camera_from_world = read_mvsnet_camera(camera)
        return checked_frame(
            name=frame,
            image=read_image(folder / "blended_images" / f"{frame}.jpg"),
            depth=read_depth_pfm(folder / "rendered_depth_maps" / f"{frame}.pfm"),
            intrinsics=intrinsics,
            world_from_camera=inverse_rigid(camera_from_world),
            source=camera,
        )


@dataclass(frozen=True)
class PreprocessedBlendedMVS(PairedScenes):
    """BlendedMVS as DUSt3R's `preprocess_blendedMVS.py` leaves it, with its list of pairs."""

    title: ClassVar[str] = "BlendedMVS after DUSt3R's preprocess_blendedMVS.py"

    layout: ClassVar[str] = """
blendedmvs_pairs.npy          scene (two numbers), frame, other frame, score
<scene>/00000000.jpg          512x384 px
<scene>/00000000.exr          depth
<scene>/00000000.npz          intrinsics, R_cam2world, t_cam2world
"""

    pairs_names: ClassVar[tuple[str, ...]] = (_PAIRS,)

    frames_pattern: ClassVar[str] = "*/*.npz"

    def read_overlaps(self, path: Path) -> Overlaps:
        """Return what the list of pairs says.

        Raises:
            BrokenFrameError: It cannot be read.
        """
        high, low, first, second = pair_columns(read_array(path), 4, path)
        highs, lows = _words(high, path), _words(low, path)
        # The low part of the number tells scenes apart.
        unique, examples, places = np.unique(lows, return_index=True, return_inverse=True)
        parts = zip(highs[examples].tolist(), unique.tolist(), strict=True)
        scenes = [f"{high:08x}{low:016x}" for high, low in parts]
        ends = np.stack([whole_numbers(column, path) for column in (first, second)])
        numbers, ends_of_pairs = np.unique(ends, return_inverse=True)
        frames = [f"{number:08d}" for number in numbers.tolist()]
        pairs = np.stack([places, *ends_of_pairs.reshape(2, -1)])
        return Overlaps(scenes, frames, pairs, source=path)

    def is_held_out(self, scene: str) -> bool:
        """Return whether a scene is for validation."""
        return _is_held_out(scene)

    def read_camera(self, path: Path) -> tuple[Shaped[np.ndarray, "..."], ...]:
        """Return intrinsics, as stored, and the pose.

        Raises:
            BrokenFrameError: The file cannot be read, or holds other shapes.
        """
        intrinsics, rotation, position = read_arrays(
            path, "intrinsics", "R_cam2world", "t_cam2world"
        )
        are_numbers = rotation.dtype.kind == position.dtype.kind == "f"
        if rotation.shape != (3, 3) or position.shape != (3,) or not are_numbers:
            raise BrokenFrameError(
                f"{path}: R_cam2world and t_cam2world have shapes {rotation.shape} and "
                f"{position.shape}; expected (3, 3) and (3,), of numbers"
            )
        return intrinsics, rigid(rotation, position)


def _words(column: Shaped[np.ndarray, " pairs"], source: Path) -> Shaped[np.ndarray, " pairs"]:
    """Return a column of parts of the names of scenes, each up to 16 hexadecimal digits."""
    if column.dtype.kind not in "iu":
        raise BrokenFrameError(f"{source}: scenes have {column.dtype}; expected whole numbers")
    return column


def _is_held_out(scene: str) -> bool:
    """Return whether a scene is for validation; other names than the dataset's own are not."""
    return bool(_SCENE_NAME.fullmatch(scene)) and int(scene[8:], 16) % 10 == 0


# A scene's frames stay the same, and reading all cameras at every draw would take long.
@lru_cache(maxsize=1024)
def _reach_of_usable(folder: Path) -> Mapping[str, float]:
    """Return the largest depth of each frame that may be drawn."""
    reach, reasons = {}, []
    for name in read_mvsnet_pairs(folder / "cams" / "pair.txt"):
        try:
            reach[name] = _reach(folder, name)
        except BrokenFrameError as reason:
            reasons.append(str(reason))
    if not reach:
        raise BrokenFrameError(f"{folder}: no frame can be used; the first: {reasons[0]}")
    return reach


def _reach(folder: Path, name: str) -> float:
    """Return the largest depth of a frame, which its camera's file tells.

    Raises:
        BrokenFrameError: It has no depth, or its principal point is far off the centre.
    """
    camera = folder / "cams" / f"{name}_cam.txt"
    intrinsics, _ = read_mvsnet_camera(camera)
    size = np.array(read_image_size(folder / "blended_images" / f"{name}.jpg"))
    margins = np.minimum(intrinsics[:2, 2], size - intrinsics[:2, 2])
    if (margins <= _MARGIN * size).any():
        raise BrokenFrameError(
            f"{camera}: the principal point is at {intrinsics[:2, 2].tolist()} px of "
            f"{size.tolist()}; expected it nearer to the centre"
        )
    # Smallest depth, step, number of steps, largest depth.
    range_words = " ".join(read_lines(camera)).split()[27:]
    farthest = numbers(range_words, source=camera)
    if len(farthest) < 4 or not 0 < farthest[3] < np.inf:
        raise BrokenFrameError(
            f"{camera}: the depth range is {range_words}; expected four numbers, the last above 0"
        )
    return float(farthest[3])
