"""Reads COLMAP's three model files, binary or text."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.camera_files.colmap_model import (
    CAMERA_MODELS,
    ColmapCamera,
    ColmapImage,
    ColmapModel,
    ColmapPoints,
)
from fast3r.geometry.transforms import matrix_from_quaternion


def read_model(folder: Path) -> ColmapModel:
    """Return the model in a folder; the binary files count where there are both kinds.

    Raises:
        ValueError: There is none, a file is damaged, or a camera model is not known here.
    """
    binary = (folder / "cameras.bin").exists()
    try:
        # A number that does not fit its kind is damage; NumPy would only warn of it.
        with np.errstate(invalid="raise"):
            return _read_binary(folder) if binary else _read_text(folder)
    except (OSError, struct.error, ArithmeticError, IndexError, ValueError) as error:
        raise ValueError(f"{folder} holds no COLMAP model that can be read: {error}") from error


class _Cursor:
    """A place in a file's bytes that moves on as values are taken."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.offset = 0

    def take(self, layout: str) -> tuple:
        values = struct.unpack_from(f"<{layout}", self.content, self.offset)
        self.offset += struct.calcsize(f"<{layout}")
        return values

    def take_rows(self, count: int, kind: str, columns: int) -> np.ndarray:
        size = count * columns
        rows = np.frombuffer(self.content, kind, size, self.offset).reshape(count, columns)
        self.offset += rows.nbytes
        return rows

    def take_name(self) -> str:
        end = self.content.index(b"\0", self.offset)
        name = self.content[self.offset : end].decode()
        self.offset = end + 1
        return name


def _read_binary(folder: Path) -> ColmapModel:
    file = _Cursor(folder / "cameras.bin")
    cameras = dict(_binary_camera(file) for _ in range(file.take("Q")[0]))
    file = _Cursor(folder / "images.bin")
    images = dict(_binary_image(file) for _ in range(file.take("Q")[0]))
    file = _Cursor(folder / "points3D.bin")
    points = [_binary_point(file) for _ in range(file.take("Q")[0])]
    return ColmapModel(cameras, images, _points(points))


def _binary_camera(file: _Cursor) -> tuple[int, ColmapCamera]:
    key, number, width, height = file.take("iiQQ")
    if not 0 <= number < len(CAMERA_MODELS):
        raise ValueError(f"camera {key} has the unknown model {number}")
    model, names = list(CAMERA_MODELS.items())[number]
    return key, ColmapCamera(model, width, height, file.take(f"{len(names.split())}d"))


def _binary_image(file: _Cursor) -> tuple[int, ColmapImage]:
    key, *pose, camera_id = file.take("i7di")
    name = file.take_name()
    (count,) = file.take("Q")
    rows = file.take_rows(count, "<f8", 3)
    ids = np.ascontiguousarray(rows[:, 2]).view("<i8")
    return key, _image(name, camera_id, pose, rows[:, :2], ids)


def _binary_point(file: _Cursor) -> tuple[tuple, np.ndarray]:
    *numbers, length = file.take("Q3d3BdQ")
    return tuple(numbers), file.take_rows(length, "<u4", 2)


def _read_text(folder: Path) -> ColmapModel:
    cameras = {}
    for line in _lines(folder / "cameras.txt"):
        key, model, width, height, *parameters = line.split()
        numbers = tuple(float(parameter) for parameter in parameters)
        cameras[int(key)] = ColmapCamera(model, int(width), int(height), numbers)
    lines = _lines(folder / "images.txt")
    images = dict(_text_image(line, next(lines, "")) for line in lines)
    points = [_text_point(line) for line in _lines(folder / "points3D.txt")]
    return ColmapModel(cameras, images, _points(points))


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines without comments; an image that sees nothing has an empty line."""
    text = path.read_text(encoding="utf-8")
    return (line for line in text.splitlines() if not line.startswith("#"))


def _text_image(line: str, observations: str) -> tuple[int, ColmapImage]:
    key, *pose, camera_id, name = line.split(maxsplit=9)
    rows = np.array(observations.split(), dtype=np.float64).reshape(-1, 3)
    numbers = [float(number) for number in pose]
    ids = rows[:, 2].astype(np.int64)
    return int(key), _image(name, int(camera_id), numbers, rows[:, :2], ids)


def _text_point(line: str) -> tuple[tuple, np.ndarray]:
    words = line.split()
    numbers = (int(words[0]), *map(float, words[1:4]), *map(int, words[4:7]), float(words[7]))
    return numbers, np.array(words[8:], dtype=np.int64).reshape(-1, 2)


def _image(
    name: str, camera_id: int, pose: list[float], xy: np.ndarray, ids: np.ndarray
) -> ColmapImage:
    return ColmapImage(
        name, camera_id, _matrix(pose), torch.from_numpy(xy.copy()), torch.from_numpy(ids.copy())
    )


def _matrix(pose: list[float]) -> Float[Tensor, "4 4"]:
    numbers = torch.tensor(pose, dtype=torch.float64)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = matrix_from_quaternion(numbers[:4])
    matrix[:3, 3] = numbers[4:]
    return matrix


def _points(records: list[tuple[tuple, np.ndarray]]) -> ColmapPoints:
    numbers = np.array([numbers for numbers, _ in records], dtype=np.float64).reshape(-1, 8)
    lengths = np.array([len(track) for _, track in records], dtype=np.int64)
    tracks = [track.astype(np.int64) for _, track in records] or [np.zeros((0, 2), np.int64)]
    return ColmapPoints(
        ids=torch.from_numpy(numbers[:, 0].astype(np.int64)),
        positions=torch.from_numpy(numbers[:, 1:4].copy()),
        colors=torch.from_numpy(numbers[:, 4:7].astype(np.uint8)),
        errors=torch.from_numpy(numbers[:, 7].copy()),
        track_starts=torch.from_numpy(np.cumsum(lengths) - lengths),
        tracks=torch.from_numpy(np.concatenate(tracks)),
    )
