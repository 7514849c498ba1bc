from pathlib import Path

import numpy as np
import pytest

from fast3r.data.datasets.cameras import (
    from_integer_centres,
    inverse_rigid,
    numbers,
    rigid,
    rotation_of_quaternion,
)
from fast3r.data.frame import BrokenFrameError


def test_the_centre_of_an_image_moves_from_between_whole_pixels_to_half_its_size() -> None:
    stored = np.array([[30, 0, 319.5], [0, 30, 239.5], [0, 0, 1]], np.float32)
    expected = [[30, 0, 320], [0, 30, 240], [0, 0, 1]]
    np.testing.assert_array_equal(from_integer_centres(stored), expected)
    assert stored[0, 2] == 319.5


def test_a_quaternion_starts_with_its_real_part_and_may_have_any_length() -> None:
    quarter_about_x = rotation_of_quaternion([3, 3, 0, 0])
    np.testing.assert_allclose(quarter_about_x @ [0, 1, 0], [0, 0, 1], atol=1e-12)


def test_the_inverse_of_a_rigid_transform_undoes_it() -> None:
    matrix = rigid(rotation_of_quaternion([1, 2, 3, 4]), np.array([5.0, 6, 7]))
    np.testing.assert_allclose(inverse_rigid(matrix) @ matrix, np.eye(4), atol=1e-12)


def test_a_word_that_is_no_number_is_named_with_its_file() -> None:
    with pytest.raises(BrokenFrameError, match=r"^a.txt: .*'x'; expected numbers"):
        numbers(["1", "x"], source=Path("a.txt"))
