"""Dense answers read at other pixels than their own."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from fast3r.evaluation.benchmark import DenseView


def on_photo(dense: DenseView, height: int, width: int) -> DenseView:
    """Return a dense view on the pixels of a photo of this size, each from the nearest grid pixel.

    What the grid does not reach is unknown: depth, confidence and points are 0.
    """
    affine = np.linalg.inv(dense.photo_from_grid.astype(np.float64))
    assert affine[0, 1] == affine[1, 0] == 0, "grids stand upright on their photos"
    columns, column_in = _nearest(width, affine[0, 0], affine[0, 2], dense.depth.shape[1])
    rows, row_in = _nearest(height, affine[1, 1], affine[1, 2], dense.depth.shape[0])
    inside = row_in[:, None] & column_in
    chosen = np.ix_(rows, columns)
    return DenseView(
        points=np.where(inside[..., None], dense.points[chosen], 0),
        depth=np.where(inside, dense.depth[chosen], 0),
        confidence=np.where(inside, dense.confidence[chosen], 0),
        photo_from_grid=np.eye(3),
    )


def pixels_answered(dense: DenseView, height: int, width: int) -> Bool[np.ndarray, "height width"]:
    """Return which pixels of a photo lie in a method's grid, whatever it says of them.

    Methods that cut photos answer for part of each.
    """
    everywhere = replace(dense, depth=np.ones_like(dense.depth))
    return on_photo(everywhere, height, width).depth > 0


def _nearest(
    length: int, factor: float, offset: float, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the grid index of each photo pixel along an axis, and whether there is one."""
    place = np.floor(factor * (np.arange(length) + 0.5) + offset).astype(np.int64)
    return place.clip(0, limit - 1), (place >= 0) & (place < limit)
