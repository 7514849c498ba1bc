"""`scene.glb`: points and cameras as binary glTF 2.0.

Positions in the file are world coordinates; the one root node turns them so that up is +y, as
glTF wants it. Vertex colours of glTF are linear, so the photo's sRGB is converted.
"""

import json
import struct
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.export.framing import framing
from fast3r.geometry.cameras import Camera, rays_through
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction

_FLOAT, _USHORT = 5126, 5123
_POINTS, _LINES = 0, 1
FRUSTUM_EDGES = [0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1]
"""Pairs of rows of `frustum` to draw lines between."""


def write(scene: Reconstruction, path: Path, *, cloud: PointCloud | None = None) -> None:
    """Write `cloud`, or the scene's own point cloud, and a line frustum for each camera.

    Raises:
        ValueError: No view has a camera, or the cloud is empty.
    """
    cloud = scene.point_cloud() if cloud is None else cloud
    frame = framing(scene, cloud)
    corners = [frustum(c, frame.frustum_depth)[FRUSTUM_EDGES] for _, _, c in scene.posed_views()]
    buffers = [
        ("VEC3", _FLOAT, cloud.points.numpy().astype("<f4")),
        ("VEC4", _USHORT, _linear_rgba(cloud.colors.numpy())),
        ("VEC3", _FLOAT, torch.cat(corners).numpy().astype("<f4")),
    ]
    document = {
        "asset": {"version": "2.0", "generator": "fast3r"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [
            {"name": "world", "children": [1, 2], "matrix": _matrix(frame.up)},
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
    path.write_bytes(_container(document, b"".join(array.tobytes() for _, _, array in buffers)))


def frustum(camera: Camera, depth: float) -> Float[Tensor, "5 3"]:
    """Return a camera's centre and the corners of its photo at that depth, in the world."""
    width, height = camera.width, camera.height
    pixels = torch.tensor([[0, 0], [width, 0], [width, height], [0, height]], dtype=torch.float64)
    corners = rays_through(pixels, camera.intrinsics.double()) * depth
    corners = torch.cat((torch.zeros(1, 3, dtype=torch.float64), corners))
    pose = camera.world_from_camera.double()
    return corners @ pose[:3, :3].mT + pose[:3, 3]


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


def _accessors(buffers: list[tuple[str, int, np.ndarray]]) -> dict[str, object]:
    """Return what tells a reader where each array lies in the one buffer."""
    accessors, views, offset = [], [], 0
    for k, (shape, component, array) in enumerate(buffers):
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes})
        accessor = {"bufferView": k, "componentType": component, "count": len(array), "type": shape}
        if component == _FLOAT:
            accessor |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        else:
            accessor["normalized"] = True
        accessors.append(accessor)
        offset += array.nbytes
    return {"accessors": accessors, "bufferViews": views, "buffers": [{"byteLength": offset}]}


def _container(document: dict[str, object], binary: bytes) -> bytes:
    """Return a GLB file: a header and two chunks, each padded to four bytes."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
