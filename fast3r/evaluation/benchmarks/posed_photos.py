"""Photos of your own with known cameras: what a method makes of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fast3r.data.dataset import check_layout
from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import Answer, Benchmark
from fast3r.evaluation.benchmarks.camera_files import LAYOUTS, PosedPhoto, find_cameras, read_frame
from fast3r.evaluation.figures import (
    CAMERA_COLUMNS,
    CAMERA_PROTOCOL,
    camera_failure,
    camera_figures,
)


class PosedPhotos:
    """One case a folder of photos with cameras: the root itself, or each folder in it."""

    columns: Sequence[str] = CAMERA_COLUMNS
    """Of the table."""

    published: Mapping[str, Mapping[str, float]] = {}
    """Your photos are in no paper."""

    def __init__(self, root: Path, *, views: int) -> None:
        """Find the sets of photos.

        Args:
            root: A set, or a folder of sets.
            views: At most so many photos of each set, evenly chosen.

        Raises:
            ValueError: There is none, or a file of cameras cannot be read.
        """
        self._views = views
        folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
        whole = find_cameras(root) if root.is_dir() else None
        if whole is not None:
            self._sets = {root.resolve().name: whole}
        else:
            found = {folder.name: find_cameras(folder) for folder in folders}
            self._sets = {name: photos for name, photos in found.items() if photos is not None}
        check_layout(root, bool(self._sets), dataset="posed photos", expected=LAYOUTS)
        few = [name for name, photos in self._sets.items() if len(photos) < 2]
        if few:
            raise ValueError(f"{root}: {few[0]} has fewer than 2 photos with a camera")

    @property
    def name(self) -> str:
        """Name in reports and of its folder of results."""
        return f"posed-photos-{self._views}-views"

    @property
    def cases(self) -> Sequence[str]:
        """Names of the folders."""
        return list(self._sets)

    @property
    def protocol(self) -> str:
        """Which photos, and what the figures mean."""
        return (
            f"{len(self._sets)} sets of photos with known cameras; of each at most {self._views}, "
            "evenly chosen from the first to the last in the order of the file of cameras, as "
            f"they are stored. {CAMERA_PROTOCOL} Lens distortion of the known cameras is left out."
        )

    def frames(self, case: str) -> Sequence[Frame]:
        """Return the chosen photos of a set.

        Raises:
            BrokenFrameError: A photo cannot be read, or is not of its camera's shape.
        """
        return [read_frame(photo) for photo in evenly(self._sets[case], self._views)]

    def score(self, frames: Sequence[Frame], answer: Answer) -> Mapping[str, float]:
        """Return the figures of one set."""
        return camera_figures(frames, answer)

    def failure(self, frames: Sequence[Frame]) -> Mapping[str, float]:
        """Return the figures of a set without an answer."""
        return camera_failure()


def open_benchmark(*, root: Path, views: int) -> Benchmark:
    """Return the benchmark of the sets in a folder.

    Raises:
        ValueError: There are none.
    """
    return PosedPhotos(root, views=views)


def evenly(photos: Sequence[PosedPhoto], limit: int) -> Sequence[PosedPhoto]:
    """Return at most so many, evenly from the first to the last."""
    places = np.linspace(0, len(photos) - 1, min(limit, len(photos))).round().astype(int)
    return [photos[place] for place in places]
