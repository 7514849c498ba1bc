"""`scene.glb`: points and cameras as binary glTF 2.0.

Positions in the file are world coordinates; the one root node turns them so that up is +y, as
glTF wants it. Vertex colours of glTF are linear, so the photo's sRGB is converted.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.export.framing import framing
from fast3r.geometry.cameras import Camera
from fast3r.scene.point_cloud import Cloud, bounds, num_points, parts_of
from fast3r.scene.reconstruction import Reconstruction

_FLOAT, _USHORT = 5126, 5123
_POINTS, _LINES = 0, 1
FRUSTUM_EDGES = [0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1]
"""Pairs of rows of `frustum` to draw lines between."""


@dataclass(frozen=True)
class _Buffer:
    """One of the arrays of the file."""

    shape: str
    component: int
    count: int
    """Of its rows."""

    row_bytes: int
    told: dict[str, object]
    """What a reader is told besides."""

    @property
    def size(self) -> int:
        """In bytes."""
        return self.count * self.row_bytes


def write(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write `cloud`, or the scene's own point cloud, and a line frustum for each camera.

    Raises:
        ValueError: No view has a camera, the cloud is empty, or it is too large for the format.
    """
    cloud = scene.view_clouds() if cloud is None else cloud
    frame = framing(scene, cloud)
    edges = [frustum(c, frame.frustum_depth)[FRUSTUM_EDGES] for _, _, c in scene.posed_views()]
    lines = torch.cat(edges).float()
    buffers = _buffers(cloud, lines)
    with path.open("wb") as file:
        file.write(_head(_document(frame.up, buffers), sum(buffer.size for buffer in buffers)))
        positions = file.tell()
        colors = positions + buffers[0].size
        for part in parts_of(cloud):
            file.seek(positions)
            positions += file.write(part.points.numpy().astype("<f4").tobytes())
            file.seek(colors)
            colors += file.write(_linear_rgba(part.colors.numpy()).tobytes())
        file.write(lines.numpy().astype("<f4").tobytes())


def frustum(camera: Camera, depth: float) -> Float[Tensor, "5 3"]:
    """Return a camera's centre and the corners of its photo at that depth, in the world."""
    width, height = camera.width, camera.height
    corners = [[0, 0], [width, 0], [width, height], [0, height]]
    pixels = torch.tensor([[0, 0], *corners], dtype=torch.float64)
    return camera.lifted(pixels, torch.tensor([0, *[depth] * 4], dtype=torch.float64))


def _buffers(cloud: Cloud, lines: Float[Tensor, "ends 3"]) -> list[_Buffer]:
    """Return the positions and the colours of the points, and the ends of the lines."""
    count, ends = num_points(cloud), bounds(cloud)
    assert ends is not None
    return [
        _Buffer("VEC3", _FLOAT, count, 12, _range(*ends)),
        _Buffer("VEC4", _USHORT, count, 8, {"normalized": True}),
        _Buffer("VEC3", _FLOAT, len(lines), 12, _range(*lines.aminmax(dim=0))),
    ]


def _document(up: Float[Tensor, "3"], buffers: list[_Buffer]) -> dict[str, object]:
    return {
        "asset": {"version": "2.0", "generator": "fast3r"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [
            {"name": "scene", "children": [1, 2], "matrix": _matrix(up)},
            {"name": "points", "mesh": 0},
            {"name": "cameras", "mesh": 1},
        ],
        "meshes": [
            _mesh("points", _POINTS, 0, {"POSITION": 0, "COLOR_0": 1}),
            _mesh("cameras", _LINES, 1, {"POSITION": 2}),
        ],
        "materials": [_unlit([1.0, 1.0, 1.0, 1.0]), _unlit([0.9, 0.2, 0.05, 1.0])],
        "extensionsUsed": ["KHR_materials_unlit"],
        **_accessors(buffers),
    }


def _matrix(up: Float[Tensor, "3"]) -> list[float]:
    """Return the rotation that takes `up` to +y, column by column as glTF stores it."""
    # Seen along the world's z axis where possible, so that the first camera looks along -z.
    toward = torch.eye(3, dtype=up.dtype)[2 if up[2].abs() < 0.9 else 1]
    right = torch.nn.functional.normalize(torch.linalg.cross(toward, up), dim=0)
    matrix = torch.eye(4, dtype=up.dtype)
    matrix[:3, :3] = torch.stack((right, up, torch.linalg.cross(right, up)))
    return matrix.mT.flatten().tolist()


def _linear_rgba(srgb: np.ndarray) -> np.ndarray:
    """Return 16-bit linear RGBA; 8 bits would leave bands in dark colours (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    rgba = np.full((len(srgb), 4), 65535, dtype="<u2")
    rgba[:, :3] = np.round(linear * 65535).astype("<u2")[srgb]
    return rgba


def _mesh(name: str, mode: int, material: int, attributes: dict[str, int]) -> dict[str, object]:
    primitive = {"mode": mode, "material": material, "attributes": attributes}
    return {"name": name, "primitives": [primitive]}


def _unlit(color: list[float]) -> dict[str, object]:
    return {
        "pbrMetallicRoughness": {"baseColorFactor": color, "metallicFactor": 0.0},
        "extensions": {"KHR_materials_unlit": {}},
    }


def _range(low: Float[Tensor, "3"], high: Float[Tensor, "3"]) -> dict[str, object]:
    return {"min": low.tolist(), "max": high.tolist()}


def _accessors(buffers: list[_Buffer]) -> dict[str, object]:
    """Return what tells a reader where each array lies in the one buffer."""
    accessors, views, offset = [], [], 0
    for k, buffer in enumerate(buffers):
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": buffer.size})
        accessor = {"bufferView": k, "componentType": buffer.component, "count": buffer.count}
        accessors.append({**accessor, "type": buffer.shape, **buffer.told})
        offset += buffer.size
    return {"accessors": accessors, "bufferViews": views, "buffers": [{"byteLength": offset}]}


def _head(document: dict[str, object], size: int) -> bytes:
    """Return all of a GLB file but the `size` bytes of its buffer, which are the end of it.

    Raises:
        ValueError: The file would be too large for the format.
    """
    assert size % 4 == 0, "a chunk would need padding"
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 28 + len(text) + size
    if total >= 2**32:
        raise ValueError(
            f"a .glb holds less than 4 GiB, and this cloud needs {total / 2**30:.1f}; write fewer "
            "points, or ply or laz"
        )
    head = struct.pack("<4sII", b"glTF", 2, total) + struct.pack("<I4s", len(text), b"JSON")
    return head + text + struct.pack("<I4s", size, b"BIN\0")
