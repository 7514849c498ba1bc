"""Cameras as datasets store them: pixel centres, matrices, quaternions, the files of MVSNet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped

from fast3r.data.frame import BrokenFrameError, is_pinhole
from fast3r.data.reading import read_lines
from fast3r.geometry.transforms import matrix_from_quaternion


def from_integer_centres(intrinsics: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return intrinsics for pixel centres at +0.5, from ones for centres at whole numbers.

    OpenCV and the preprocessing scripts of DUSt3R put (0, 0) at the centre of the first pixel.
    What are no intrinsics stays as it is, for `checked_frame` to refuse.
    """
    if not is_pinhole(intrinsics):
        return intrinsics
    moved = np.array(intrinsics, dtype=np.float64)
    moved[:2, 2] += 0.5
    return moved


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


def read_mvsnet_pairs(path: Path) -> dict[str, list[str]]:
    """Return the frames of a `pair.txt`, each with those that see the same surface, the best first.

    After the number of frames, the file has two lines a frame: its number; then how many others,
    and number and score of each.

    Raises:
        BrokenFrameError: The file is missing or holds something else.
    """
    rows = [line.split() for line in read_lines(path) if line][1:]
    pairs = {}
    for (frame, *_), (_, *others) in zip(rows[::2], rows[1::2], strict=False):
        pairs[_frame_name(frame, path)] = [_frame_name(other, path) for other in others[::2]]
    if not pairs:
        raise BrokenFrameError(f"{path}: lists no frames; expected two lines a frame")
    return pairs


def _frame_name(number: str, source: Path) -> str:
    if not number.isdecimal() or len(number) > 8:
        raise BrokenFrameError(f"{source}: has {number[:20]!r}; expected the number of a frame")
    return f"{int(number):08}"


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
    """Return the inverse of a rigid transform, by transposing its rotation.

    Of one that is not finite it is not finite either.
    """
    rotation = matrix[:3, :3].T
    with np.errstate(invalid="ignore", over="ignore"):
        return rigid(rotation, -rotation @ matrix[:3, 3])


def rotation_of_quaternion(
    quaternion: Sequence[float] | Float[np.ndarray, "4"],
) -> Float[np.ndarray, "3 3"]:
    """Return the rotation of a quaternion (w, x, y, z) of any length but zero."""
    return matrix_from_quaternion(torch.tensor(quaternion, dtype=torch.float64)).numpy()
