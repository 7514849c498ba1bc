"""Scenes whose overlapping frames DUSt3R lists in pairs: what four of its preprocessings share.

A frame is a photo `.jpg`, a depth map `.exr` and a camera `.npz`. The published lists of pairs
tell which frames of a scene see the same surface; views are drawn from the graph they make.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int, Shaped

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.cameras import from_integer_centres
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import read_arrays, read_depth_exr, read_image
from fast3r.data.sampling import draw_connected


class Overlaps:
    """Which frames of each scene see the same surface.

    The lists have more than a million pairs: these stay in arrays, and one scene at a time is
    turned into a graph.
    """

    def __init__(
        self,
        scenes: list[str],
        frames: list[str],
        pairs: Int[np.ndarray, "3 pairs"],
        *,
        source: Path,
    ) -> None:
        """Sort the pairs by their scene.

        Args:
            scenes: Names that the first row of `pairs` counts in.
            frames: Names that the other rows count in.
            pairs: Scene, one frame and the other; none below 0.
            source: File to name in a message.

        Raises:
            BrokenFrameError: A pair is none of these names.
        """
        largest = pairs.max(axis=1)
        if (largest >= [len(scenes), len(frames), len(frames)]).any():
            raise BrokenFrameError(
                f"{source}: pairs count up to {largest.tolist()}; "
                f"expected less than {len(scenes)} scenes and {len(frames)} frames"
            )
        self._frames = frames
        self._pairs = pairs[:, np.argsort(pairs[0], kind="stable")]
        places, starts = np.unique(self._pairs[0], return_index=True)
        ends = [*starts[1:].tolist(), self._pairs.shape[1]]
        self._stretches = {
            scenes[place]: slice(start, end)
            for place, start, end in zip(places.tolist(), starts.tolist(), ends, strict=True)
        }

    @property
    def scenes(self) -> list[str]:
        """Names of the scenes that have pairs."""
        return list(self._stretches)

    def neighbours(self, scene: str) -> dict[str, list[str]]:
        """Return the frames of a scene, each with those that it overlaps with."""
        _, first, second = self._pairs[:, self._stretches[scene]]
        # Both directions, each once. One number a pair sorts faster than two.
        base = int(max(first.max(), second.max())) + 1
        there_and_back = np.concatenate([first * base + second, second * base + first])
        ends, others = np.divmod(np.unique(there_and_back), base)
        graph: dict[str, list[str]] = {}
        for end, other in zip(ends.tolist(), others.tolist(), strict=True):
            graph.setdefault(self._frames[end], []).append(self._frames[other])
        return graph


@dataclass(frozen=True)
class PairedScenes(ABC):
    """A dataset of which a list of pairs tells what overlaps."""

    root: Path
    """Folder of the preprocessed dataset."""

    split: Literal["train", "val"] = "train"
    """Which scenes to read."""

    title: ClassVar[str]
    """What the dataset is called."""

    layout: ClassVar[str]
    """The paths below `root`."""

    pairs_names: ClassVar[tuple[str, ...]]
    """Names that the list of pairs may have."""

    frames_pattern: ClassVar[str]
    """Pattern of the cameras' files."""

    def __post_init__(self) -> None:
        check_layout(
            self.root,
            self.pairs_path.is_file() and any(self.root.glob(self.frames_pattern)),
            dataset=self.title,
            expected=self.layout,
        )
        if not self.scenes:
            raise ValueError(
                f"{self.root}: none of the scenes in {self.pairs_path.name} that belong to the "
                f"split {self.split!r} is there"
            )

    @property
    def pairs_path(self) -> Path:
        """The list of pairs."""
        paths = [self.root / name for name in self.pairs_names]
        return next((path for path in paths if path.is_file()), paths[0])

    @cached_property
    def overlaps(self) -> Overlaps:
        """What the list of pairs says.

        Raises:
            BrokenFrameError: It cannot be read.
        """
        return self.read_overlaps(self.pairs_path)

    @abstractmethod
    def read_overlaps(self, path: Path) -> Overlaps:
        """Return what the list of pairs says.

        Raises:
            BrokenFrameError: It cannot be read.
        """

    @abstractmethod
    def is_held_out(self, scene: str) -> bool:
        """Return whether a scene is for validation; its name decides."""

    @cached_property
    def scenes(self) -> tuple[str, ...]:
        """Names of the scenes of the split that are there, sorted."""
        held_out = self.split == "val"
        names = [name for name in self.overlaps.scenes if self.is_held_out(name) == held_out]
        return tuple(sorted(name for name in names if self.folder(name).is_dir()))

    def folder(self, scene: str) -> Path:
        """Return the folder of a scene."""
        return self.root / scene

    def frames(self, scene: str) -> list[str]:
        """Return the names of a scene's frames, sorted."""
        return sorted(self.overlaps.neighbours(scene))

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the names of `views` frames that overlap, directly or through others.

        Equal dice give equal frames. They repeat only where not as many are connected.
        """
        return draw_connected(self.overlaps.neighbours(scene), views, dice)

    def read(self, scene: str, frame: str) -> Frame:
        """Return one frame at its stored size.

        Raises:
            BrokenFrameError: It cannot be used.
        """
        stem = self.folder(scene) / frame
        return self.read_files(frame, photo=Path(f"{stem}.jpg"), stem=stem)

    def read_files(self, name: str, *, photo: Path, stem: Path, farthest: float = np.inf) -> Frame:
        """Return the frame of a photo, and of a depth map and a camera with the same stem.

        Raises:
            BrokenFrameError: A file cannot be read, or they do not fit together.
        """
        camera = Path(f"{stem}.npz")
        intrinsics, world_from_camera = self.read_camera(camera)
        depth = read_depth_exr(Path(f"{stem}.exr"))
        return checked_frame(
            name=name,
            image=read_image(photo),
            depth=np.where(depth < farthest, depth, np.float32(0)),
            intrinsics=from_integer_centres(intrinsics),
            world_from_camera=world_from_camera,
            source=camera,
        )

    def read_camera(self, path: Path) -> tuple[Shaped[np.ndarray, "..."], ...]:
        """Return intrinsics, as stored, and the pose.

        Raises:
            BrokenFrameError: The file cannot be read.
        """
        return read_arrays(path, "intrinsics", "cam2world")


def texts(array: Shaped[np.ndarray, "..."], source: Path) -> list[str]:
    """Return the names in an array.

    Raises:
        BrokenFrameError: It is no list of text.
    """
    if array.ndim != 1 or array.dtype.kind != "U":
        raise BrokenFrameError(
            f"{source}: names have type {array.dtype} and shape {array.shape}; expected a list"
        )
    return array.tolist()


def whole_numbers(column: Shaped[np.ndarray, " pairs"], source: Path) -> Int[np.ndarray, " pairs"]:
    """Return a column of pairs as whole numbers.

    Raises:
        BrokenFrameError: It has something else, or a number below 0.
    """
    if column.dtype.kind in "iuf" and (column >= 0).all() and (column < 2**62).all():
        return column.astype(np.int64)
    raise BrokenFrameError(
        f"{source}: pairs have {column.dtype} such as {column[:3].tolist()}; "
        "expected whole numbers, none below 0"
    )


def pair_columns(
    pairs: Shaped[np.ndarray, "..."], count: int, source: Path
) -> list[Shaped[np.ndarray, " pairs"]]:
    """Return the first columns of a table of pairs, whose columns may have names.

    Raises:
        BrokenFrameError: It has no pair, or fewer columns.
    """
    named = pairs.dtype.names
    is_table = pairs.size > 0 and pairs.ndim == (1 if named else 2)
    columns = [pairs[name] for name in named] if named else list(np.atleast_1d(pairs).T)
    if not is_table or len(columns) < count:
        raise BrokenFrameError(
            f"{source}: pairs have type {pairs.dtype} and shape {pairs.shape}; "
            f"expected one pair or more, of {count} columns or more"
        )
    return columns[:count]
