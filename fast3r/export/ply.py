"""`scene.ply`: the point cloud as binary little-endian PLY, and a reader for such files.

Own code because plyfile is under the GPL and trimesh takes eight times as long.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fast3r.scene.point_cloud import Cloud, PointCloud, num_points, parts_of
from fast3r.scene.reconstruction import Reconstruction

_NUMPY_FROM_PLY = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "<i2",
    "int16": "<i2",
    "ushort": "<u2",
    "uint16": "<u2",
    "int": "<i4",
    "int32": "<i4",
    "uint": "<u4",
    "uint32": "<u4",
    "float": "<f4",
    "float32": "<f4",
    "double": "<f8",
    "float64": "<f8",
}
_PROPERTIES = [
    *((axis, "<f4") for axis in "xyz"),
    *((channel, "u1") for channel in ("red", "green", "blue")),
    ("confidence", "<f4"),
]
_PLY_FROM_NUMPY = {"<f4": "float", "u1": "uchar"}


@dataclass(frozen=True)
class PlyPoints:
    """The vertices of a PLY file."""

    points: Float[Tensor, "points 3"]
    """Positions, in the unit of the file."""

    colors: UInt8[Tensor, "points 3"] | None
    """RGB; None where the file has none."""

    confidence: Float[Tensor, " points"] | None
    """None where the file has none."""


def write(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write `cloud`, or the scene's own point cloud, in world coordinates.

    Raises:
        ValueError: No view has a camera.
    """
    write_points(scene.view_clouds() if cloud is None else cloud, path)


def write_points(cloud: Cloud, path: Path) -> None:
    """Write x, y, z float32; red, green, blue uint8; confidence float32."""
    properties = [f"property {_PLY_FROM_NUMPY[kind]} {name}" for name, kind in _PROPERTIES]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {num_points(cloud)}"]
    with path.open("wb") as file:
        file.write("\n".join([*header, *properties, "end_header\n"]).encode("ascii"))
        for part in parts_of(cloud):
            file.write(_vertices(part).data)


def _vertices(cloud: PointCloud) -> np.ndarray:
    vertices = np.empty(len(cloud), dtype=_PROPERTIES)
    for k, axis in enumerate("xyz"):
        vertices[axis] = cloud.points[:, k].numpy()
    for k, channel in enumerate(("red", "green", "blue")):
        vertices[channel] = cloud.colors[:, k].numpy()
    vertices["confidence"] = cloud.confidence.numpy()
    return vertices


def read_points(path: Path) -> PlyPoints:
    """Return the vertices of a binary little-endian PLY file; other elements are ignored.

    Raises:
        ValueError: The file is not such a PLY, or ends too soon.
    """
    with path.open("rb") as file:
        try:
            count, vertex = _read_header(file, path)
        except IndexError as error:
            raise ValueError(f"{path} has a header that breaks off within a line") from error
        # The promise may be more than any memory holds.
        if count * vertex.itemsize > os.fstat(file.fileno()).st_size - file.tell():
            raise ValueError(f"{path} ends too soon: its header promises {count} points")
        vertices = np.frombuffer(file.read(count * vertex.itemsize), dtype=np.uint8)
    vertices = vertices.view(vertex)
    names = set(vertex.names or ())
    colors = _columns(vertices, ("red", "green", "blue"), "u1") if "red" in names else None
    confidence = _columns(vertices, ("confidence",), "f4")[:, 0] if "confidence" in names else None
    return PlyPoints(_columns(vertices, ("x", "y", "z"), "f4"), colors, confidence)


def _columns(vertices: np.ndarray, names: tuple[str, ...], kind: str) -> Tensor:
    columns = np.stack([vertices[name].astype(kind) for name in names], axis=-1)
    return torch.from_numpy(columns)


def _read_header(file: BinaryIO, path: Path) -> tuple[int, np.dtype]:
    """Return the number of vertices and how one is stored, with the file left at the first."""
    if file.readline().strip() != b"ply":
        raise ValueError(f"{path} is not a PLY file")
    lines = []
    while not lines or lines[-1] != ["end_header"]:
        line = file.readline(10_000)
        if not line:
            raise ValueError(f"{path} ends within its header")
        lines.append(line.decode("ascii", errors="replace").split())
    if ["format", "binary_little_endian", "1.0"] not in lines:
        raise ValueError(f"{path} is not binary little-endian; only such PLY files are read")
    elements = [k for k, words in enumerate(lines) if words[:1] == ["element"]]
    if not elements or lines[elements[0]][1:2] != ["vertex"]:
        raise ValueError(f"{path} does not begin with its vertices")
    end = [*elements, len(lines)][1]
    properties = [words for words in lines[elements[0] + 1 : end] if words[:1] == ["property"]]
    count = lines[elements[0]][2]
    if not (count.isascii() and count.isdecimal() and len(count) < 19):
        raise ValueError(f"{path} has no number of vertices, but {count[:20]!r}")
    return int(count), _vertex_type(properties, path)


def _vertex_type(properties: list[list[str]], path: Path) -> np.dtype:
    unknown = [words for words in properties if words[1] not in _NUMPY_FROM_PLY]
    if unknown:
        raise ValueError(f"{path} has a vertex property of unknown kind: {' '.join(unknown[0])}")
    twice = [name for name, count in Counter(words[2] for words in properties).items() if count > 1]
    if twice:
        raise ValueError(f"{path} has two vertex properties called {twice[0]}")
    vertex = np.dtype([(words[2], _NUMPY_FROM_PLY[words[1]]) for words in properties])
    names = set(vertex.names or ())
    if not {"x", "y", "z"} <= names:
        raise ValueError(f"{path} has vertices without x, y and z")
    if "red" in names and not {"green", "blue"} <= names:
        raise ValueError(f"{path} has vertices with red, but without green or blue")
    return vertex
