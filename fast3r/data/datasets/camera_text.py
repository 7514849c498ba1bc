"""Cameras in the text files of datasets: matrices, quaternions, MVSNet's camera files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from fast3r.data.frame import BrokenFrameError
from fast3r.data.reading import read_lines
from fast3r.geometry.transforms import matrix_from_quaternion


def numbers(words: Sequence[str], *, source: Path) -> Float[np.ndarray, " numbers"]:
    """Return words as numbers.

    Raises:
        BrokenFrameError: One is none.
    """
    try:
        return np.array([float(word) for word in words])
    except ValueError as error:
        raise BrokenFrameError(f"{source}: {error}; expected numbers") from error


def read_matrix(path: Path, rows: int, columns: int) -> Float[np.ndarray, "rows columns"]:
    """Return a matrix that is alone in its file, a row a line.

    Raises:
        BrokenFrameError: The file is missing or holds something else.
    """
    found = numbers(" ".join(read_lines(path)).split(), source=path)
    if len(found) != rows * columns:
        raise BrokenFrameError(
            f"{path}: has {len(found)} numbers; expected {rows * columns}, "
            f"of a {rows}x{columns} matrix"
        )
    return found.reshape(rows, columns)


def read_mvsnet_camera(
    path: Path,
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]:
    """Return intrinsics, as stored, and camera_from_world of a camera file of MVSNet.

    Such a file has the word `extrinsic`, 16 numbers, the word `intrinsic` and 9 numbers; the
    depth range that may follow is left aside.

    Raises:
        BrokenFrameError: The file is missing or holds something else.
    """
    words = " ".join(read_lines(path)).split()
    if len(words) < 27 or words[0] != "extrinsic" or words[17] != "intrinsic":
        raise BrokenFrameError(
            f"{path}: has {len(words)} words that start with {words[:1]}; "
            "expected 'extrinsic', 16 numbers, 'intrinsic', 9 numbers"
        )
    camera_from_world = numbers(words[1:17], source=path).reshape(4, 4)
    return numbers(words[18:27], source=path).reshape(3, 3), camera_from_world


def intrinsics_matrix(
    focal_x_px: float, focal_y_px: float, centre_x_px: float, centre_y_px: float
) -> Float[np.ndarray, "3 3"]:
    """Return the intrinsics of a pinhole camera."""
    return np.array([[focal_x_px, 0, centre_x_px], [0, focal_y_px, centre_y_px], [0, 0, 1.0]])


def rigid(
    rotation: Float[np.ndarray, "3 3"], translation: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "4 4"]:
    """Return a rotation and a translation as one matrix."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, translation
    return matrix


def inverse_rigid(matrix: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """Return the inverse of a rigid transform, by transposing its rotation."""
    rotation = matrix[:3, :3].T
    return rigid(rotation, -rotation @ matrix[:3, 3])


def rotation_of_quaternion(
    quaternion: Sequence[float] | Float[np.ndarray, "4"],
) -> Float[np.ndarray, "3 3"]:
    """Return the rotation of a quaternion (w, x, y, z) of any length but zero."""
    return matrix_from_quaternion(torch.tensor(quaternion, dtype=torch.float64)).numpy()
