"""Which frames of a video are worth keeping: one per stretch of time, sharp, and not a repeat."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

_DEFAULT_FPS = 2
_DEFAULT_MAX_FRAMES = 100

_SAME_BELOW = 3
"""Two thumbnails show the same if 99 % of their pixels differ by less, out of 255.

Noise averages out at that size; motion by a pixel of the network changes edges by more.
"""


@dataclass(frozen=True)
class Stretches:
    """Equal stretches of a video; one frame is to be kept of each."""

    count: int
    """Number of stretches."""

    length_s: float
    """Duration of each; the last may be shorter."""

    def index_at(self, time_s: float) -> int:
        """Return the stretch that a time falls in."""
        # Stamps are rounded: a frame a microsecond early belongs to the stretch it opens.
        return min(max(int(time_s / self.length_s + 1e-4), 0), self.count - 1)

    def centrality(self, time_s: float) -> float:
        """Return 1 in the middle of a stretch, falling to 1/2 at its ends."""
        middle_s = (self.index_at(time_s) + 0.5) * self.length_s
        return max(1 - abs(time_s - middle_s) / self.length_s, 0.5)

    def min_per_stretch(self, times_s: Iterable[float]) -> int:
        """Return how many of the times even the emptiest stretch holds."""
        counts = Counter(map(self.index_at, times_s))
        return min(counts[index] for index in range(self.count))


def plan_stretches(duration_s: float, fps: float | None, num_frames: int | None) -> Stretches:
    """Return the stretches for `fps` frames per second, or `num_frames` in all.

    With neither, two frames per second, at most 100.
    """
    if num_frames is None and fps is None:
        num_frames = min(max(math.ceil(duration_s * _DEFAULT_FPS), 2), _DEFAULT_MAX_FRAMES)
    if num_frames is not None:
        return Stretches(num_frames, duration_s / num_frames)
    assert fps is not None
    # A duration of 4.0001 s at 1 fps is four stretches, not five.
    return Stretches(max(math.ceil(duration_s * fps - 0.01), 1), 1 / fps)


def check_sampling(fps: float | None, num_frames: int | None) -> None:
    """Accept a rate, or a number of frames, or neither.

    Raises:
        ValueError: Both are given, or one is not positive.
    """
    if fps is not None and num_frames is not None:
        raise ValueError(f"give fps or num_frames, not both; got {fps} and {num_frames}")
    if fps is not None and not (fps > 0 and math.isfinite(fps)):
        raise ValueError(f"fps must be positive, got {fps}")
    if num_frames is not None and num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, got {num_frames}")


def sharpness(grey: UInt8[np.ndarray, "height width"]) -> float:
    """Return the variance of the Laplacian, larger for sharper images (Pech-Pacheco, 2000)."""
    centre = grey.astype(np.int16)
    laplacian = 4 * centre[1:-1, 1:-1]
    laplacian = laplacian - centre[:-2, 1:-1] - centre[2:, 1:-1]
    laplacian = laplacian - centre[1:-1, :-2] - centre[1:-1, 2:]
    return float(laplacian.var(dtype=np.float32))


def is_same(
    one: UInt8[np.ndarray, "height width"], other: UInt8[np.ndarray, "other_height other_width"]
) -> bool:
    """Return whether two thumbnails show the same; those of different shapes do not."""
    if one.shape != other.shape:
        return False
    difference = np.abs(one.astype(np.int16) - other)
    return bool(np.percentile(difference, 99) < _SAME_BELOW)
