"""Regions of an image, as true pixels: grown, and followed from where they begin."""

import numpy as np
from jaxtyping import Bool


def grown(mask: Bool[np.ndarray, "rows columns"], by: int) -> Bool[np.ndarray, "rows columns"]:
    """Return a mask grown by so many pixels to all sides; what is outside counts for nothing."""
    for axis in (0, 1):
        total = np.cumsum(mask, axis=axis, dtype=np.int32)
        size = mask.shape[axis]
        upper = total.take(np.minimum(np.arange(size) + by, size - 1), axis=axis)
        lower = total.take(np.maximum(np.arange(size) - by - 1, 0), axis=axis)
        before = np.arange(size) - by - 1 < 0
        lower = np.where(before[:, None] if axis == 0 else before, 0, lower)
        mask = upper > lower
    return mask


def shrunk(mask: Bool[np.ndarray, "rows columns"], by: int) -> Bool[np.ndarray, "rows columns"]:
    """Return a mask shrunk by so many pixels on all sides, but not along the image's border."""
    return ~grown(~mask, by)


def flooded(
    allowed: Bool[np.ndarray, "rows columns"], start: Bool[np.ndarray, "rows columns"]
) -> Bool[np.ndarray, "rows columns"]:
    """Return the allowed pixels that hang together with some of `start`, along rows and columns."""
    reached = allowed & start
    rows, before = allowed.shape[0], 0
    while (count := np.count_nonzero(reached)) != before:
        before = count
        for row in (*range(rows), *range(rows - 2, -1, -1)):
            touched = reached[max(row - 1, 0)] | reached[row] | reached[min(row + 1, rows - 1)]
            reached[row] = _whole_runs(allowed[row], touched)
    return reached


def along_border(height: int, width: int, *, by: int = 1) -> Bool[np.ndarray, "rows columns"]:
    """Return which pixels of an image lie within so many pixels of its border."""
    ring = np.ones((height, width), bool)
    ring[by : height - by, by : width - by] = False
    return ring


def _whole_runs(allowed: Bool[np.ndarray, " columns"], touched: np.ndarray) -> np.ndarray:
    """Return the runs of allowed pixels of which some are touched."""
    starts = np.concatenate((allowed[:1], allowed[1:] & ~allowed[:-1]))
    run = np.cumsum(starts)
    hit = np.bincount(run, weights=allowed & touched, minlength=run[-1] + 1) > 0
    return allowed & hit[run]
