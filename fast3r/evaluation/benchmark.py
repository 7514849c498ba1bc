"""The types of an evaluation: a benchmark asks, a method answers, the benchmark scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from fast3r.data.frame import Frame


@dataclass(frozen=True)
class DenseView:
    """What a method says of the surface that one photo shows, on a regular grid of pixels."""

    points: Float[np.ndarray, "height width 3"]
    """World position of the surface at each grid pixel, in the frame of the answer's poses."""

    depth: Float[np.ndarray, "height width"]
    """Distance along the camera's z axis in the same units; 0 where unknown."""

    confidence: Float[np.ndarray, "height width"]
    """The greater the surer; 0 where unknown."""

    photo_from_grid: Float[np.ndarray, "3 3"]
    """Affine map from grid pixels to pixels of the photo; centres at +0.5 in both."""


@dataclass(frozen=True)
class Answer:
    """What a method says of the photos of a case; every list has an entry a photo, None unknown."""

    world_from_camera: Sequence[Float[np.ndarray, "4 4"] | None]
    """Rigid poses in a world of the method's choice, OpenCV axes."""

    intrinsics: Sequence[Float[np.ndarray, "3 3"] | None]
    """In pixels of the photo; pixel centres at +0.5."""

    dense: Sequence[DenseView | None]
    """Surfaces."""

    host_peak_gib: float | None = None
    """Peak memory of another process that the method worked in; None where there was none."""


@runtime_checkable
class Method(Protocol):
    """Anything that makes geometry from photos."""

    @property
    def name(self) -> str:
        """Name in tables and of its folder of results."""
        ...

    @property
    def settings(self) -> Mapping[str, str | int | float | None]:
        """Everything that decides the answer: hash of weights, size, seed, versions.

        Results that were made with other settings are made anew.
        """
        ...

    def __call__(self, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Answer:
        """Return what the method makes of the photos (RGB, sizes may differ).

        Raises:
            Exception: It may fail in any way; the case then counts as failed.
        """
        ...


@runtime_checkable
class Benchmark(Protocol):
    """Questions with known answers."""

    @property
    def name(self) -> str:
        """Name in reports and of its folder of results; tells variants apart: `co3d-10-views`."""
        ...

    @property
    def protocol(self) -> str:
        """A paragraph: which frames, crops, alignment, thresholds and seeds."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """Keys of `score`, in the order of the table, with units ("RRA@15 %", "accuracy m").

        Worst cases are found by the first.
        """
        ...

    @property
    def published(self) -> Mapping[str, Mapping[str, float]]:
        """Figures of papers in the same protocol: row name with its source -> column -> value."""
        ...

    @property
    def cases(self) -> Sequence[str]:
        """Names of the cases, in order; unique."""
        ...

    def frames(self, case: str) -> Sequence[Frame]:
        """Return the photos of a case with what is true of them.

        Raises:
            BrokenFrameError: The dataset is incomplete.
        """
        ...

    def score(self, frames: Sequence[Frame], answer: Answer) -> Mapping[str, float]:
        """Return the figures of one case, keyed by `columns`; nan where one is undefined."""
        ...

    def failure(self, frames: Sequence[Frame]) -> Mapping[str, float]:
        """Return the figures of a case that a method failed on: the worst there is, else nan.

        A figure whose worst is 0 is better the larger, any other the smaller.
        """
        ...
