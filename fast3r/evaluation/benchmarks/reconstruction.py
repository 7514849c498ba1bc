"""Surfaces of rooms and objects, against RGB-D cameras and scans: 7-Scenes, NRGBD, DTU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fast3r.data.config import Shape
from fast3r.data.dataset import PosedScenes
from fast3r.data.datasets.dtu import Dtu
from fast3r.data.datasets.nrgbd import Nrgbd
from fast3r.data.datasets.seven_scenes import SevenScenes
from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import Answer, Benchmark
from fast3r.evaluation.benchmarks.frame_choice import at_size
from fast3r.evaluation.benchmarks.reconstruction_published import PUBLISHED
from fast3r.evaluation.reconstruction import reconstruction_errors, scanned_view


@dataclass(frozen=True)
class Recipe:
    """How a paper takes frames and lays the worlds over each other."""

    frame_step: int
    """Every so many frames of a sequence are photos."""

    shape: Shape | None = None
    """Size that photos are cut and scaled to; None leaves them as they are."""

    align_percentile: float = 0.0
    """The similarity is fitted to pixels whose confidence is no less than this of their view."""

    icp_distance: float | None = None
    """Greatest distance of a pair in an ICP that follows, in the dataset's unit; None: no ICP."""

    last_first: bool = False
    """Whether photos come in reverse order of capture."""


_SQUARE = Shape(512, 512)

_RECIPES: Mapping[str, Mapping[str, Recipe]] = {
    "7-scenes": {
        "fast3r": Recipe(20, _SQUARE, 85),
        "sparse": Recipe(200, icp_distance=0.1),
        "dense": Recipe(40, icp_distance=0.1),
    },
    "nrgbd": {
        "fast3r": Recipe(40, _SQUARE, 85),
        "sparse": Recipe(500, icp_distance=0.1),
        "dense": Recipe(100, icp_distance=0.1),
    },
    "dtu": {
        "fast3r": Recipe(5, _SQUARE, 85, last_first=True),
        "pi3": Recipe(5, icp_distance=100),
    },
}
"""`fast3r` is the paper's; `sparse` is CUT3R's and VGGT's, `dense` and `pi3` are Pi3's."""


@dataclass(frozen=True)
class Surfaces:
    """Whole sequences, and the points that a method makes of their photos."""

    dataset: PosedScenes
    """Where the frames come from."""

    name: str
    """Name in reports and of its folder of results."""

    unit: str
    """Of the poses and depths."""

    threshold: float
    """Of the F-score, in units."""

    recipe: Recipe
    """How frames are taken and worlds aligned."""

    published: Mapping[str, Mapping[str, float]]
    """Figures of papers."""

    @property
    def columns(self) -> Sequence[str]:
        """Of the table."""
        distances = ("accuracy", "completeness", "accuracy median", "completeness median")
        return (
            *(f"{name} {self.unit}" for name in (*distances, "chamfer")),
            "normals",
            "normals median",
            f"F-score@{self.threshold:g}{self.unit} %",
        )

    @property
    def protocol(self) -> str:
        """Which frames, how they are cut, how worlds are aligned, and what the figures mean."""
        recipe = self.recipe
        size = "as they are" if recipe.shape is None else f"cut and scaled to {recipe.shape}"
        order = ", the last first" if recipe.last_first else ""
        pixels = "all its pixels with true depth"
        if recipe.align_percentile:
            pixels += f" whose confidence reaches percentile {recipe.align_percentile:g} of a photo"
        icp = "no ICP"
        if recipe.icp_distance is not None:
            icp = f"then point-to-point ICP within {recipe.icp_distance:g} {self.unit}"
        return (
            f"{len(self.cases)} sequences; every {recipe.frame_step}th frame of each{order}, all "
            f"in one pass; photos {size}. True points are read from the true depth at the "
            "method's own pixels. One similarity a sequence is fitted by least squares (Umeyama) "
            f"to {pixels}; {icp}. Then all predicted points with true depth are compared with all "
            "true points: accuracy is the distance of predicted ones to the nearest true one, "
            "completeness the reverse, mean and median; "
            "chamfer is the mean of both. Normals are the mean |cosine| between normals (PCA of 30 "
            "neighbours) of nearest points, over both directions. The F-score counts points nearer "
            f"than {self.threshold:g} {self.unit}. Figures are means over sequences."
        )

    @property
    def cases(self) -> Sequence[str]:
        """The sequences."""
        return self.dataset.scenes

    def frames(self, case: str) -> Sequence[Frame]:
        """Return the photos of a sequence.

        Raises:
            BrokenFrameError: One cannot be used.
        """
        names = list(self.dataset.frames(case))[:: self.recipe.frame_step]
        if self.recipe.last_first:
            names.reverse()
        return [at_size(self.dataset.read(case, name), self.recipe.shape) for name in names]

    def score(self, frames: Sequence[Frame], answer: Answer) -> Mapping[str, float]:
        """Return the figures of one sequence; those of a failure if no similarity can be fitted."""
        views = [scanned_view(f, dense) for f, dense in zip(frames, answer.dense, strict=True)]
        errors = reconstruction_errors(
            views,
            align_percentile=self.recipe.align_percentile,
            icp_distance=self.recipe.icp_distance,
            thresholds=(self.threshold,),
            threads=-1,
        )
        if errors is None:
            return self.failure(frames)
        figures = (
            errors.accuracy,
            errors.completeness,
            errors.accuracy_median,
            errors.completeness_median,
            errors.chamfer,
            errors.normals,
            (errors.accuracy_normals_median + errors.completeness_normals_median) / 2,
            100 * errors.f_scores[0].f_score,
        )
        return dict(zip(self.columns, figures, strict=True))

    def failure(self, frames: Sequence[Frame]) -> Mapping[str, float]:
        """Return the figures of a sequence without an answer; distances have no worst value."""
        return dict(zip(self.columns, (*[np.nan] * 5, 0.0, 0.0, 0.0), strict=True))


def open_seven_scenes(root: Path, *, variant: str) -> Benchmark:
    """Return the benchmark on the test sequences of 7-Scenes.

    Raises:
        ValueError: The root is laid out differently.
    """
    return _surfaces("7-scenes", SevenScenes(root), variant, "m", 0.05)


def open_nrgbd(root: Path, *, variant: str) -> Benchmark:
    """Return the benchmark on NRGBD.

    Raises:
        ValueError: The root is laid out differently.
    """
    return _surfaces("nrgbd", Nrgbd(root), variant, "m", 0.05)


def open_dtu(root: Path, *, variant: str) -> Benchmark:
    """Return the benchmark on the test scans of DTU that lie in the root.

    Raises:
        ValueError: The root is laid out differently.
    """
    return _surfaces("dtu", Dtu(root), variant, "mm", 2.0)


def _surfaces(
    name: str, dataset: PosedScenes, variant: str, unit: str, threshold: float
) -> Benchmark:
    return Surfaces(
        dataset=dataset,
        name=f"{name}-{variant}",
        unit=unit,
        threshold=threshold,
        recipe=_RECIPES[name][variant],
        published=PUBLISHED.get((name, variant), {}),
    )
