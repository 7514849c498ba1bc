"""Dense answers on the pixels of their photos."""

import numpy as np

from fast3r.evaluation.benchmark import DenseView
from fast3r.evaluation.resampling import on_photo


def grid(height: int, width: int, photo_from_grid: np.ndarray) -> DenseView:
    """Return a view whose depth counts the grid's pixels from 1."""
    depth = np.arange(1.0, height * width + 1).reshape(height, width)
    points = np.stack((depth, depth, depth), axis=-1)
    return DenseView(points, depth, depth, photo_from_grid)


def test_a_grid_of_the_photos_own_pixels_stays() -> None:
    dense = grid(3, 4, np.eye(3))
    shown = on_photo(dense, 3, 4)
    np.testing.assert_array_equal(shown.depth, dense.depth)
    np.testing.assert_array_equal(shown.points, dense.points)


def test_each_photo_pixel_takes_the_grid_pixel_that_covers_it() -> None:
    shown = on_photo(grid(2, 2, np.diag([2.0, 3.0, 1])), 6, 4)
    expected = np.repeat(np.repeat([[1, 2], [3, 4]], 3, axis=0), 2, axis=1)
    np.testing.assert_array_equal(shown.depth, expected)
    np.testing.assert_array_equal(shown.photo_from_grid, np.eye(3))


def test_what_the_grid_does_not_reach_is_unknown() -> None:
    crop = np.array([[1.0, 0, 1], [0, 1, 0], [0, 0, 1]])
    shown = on_photo(grid(1, 2, crop), 2, 4)
    np.testing.assert_array_equal(shown.depth, [[0, 1, 2, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(shown.confidence, shown.depth)
    np.testing.assert_array_equal(shown.points[..., 0], shown.depth)
