"""`scene.ply`: the point cloud as binary little-endian PLY; meshes go the same way.

Own code because plyfile is under the GPL and trimesh takes eight times as long.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from fast3r.scene.point_cloud import Cloud, num_points, parts_of
from fast3r.scene.reconstruction import Reconstruction

_POSITION_AND_COLOR = (
    *(f"property float {axis}" for axis in "xyz"),
    *(f"property uchar {channel}" for channel in ("red", "green", "blue")),
)


def write(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write `cloud`, or the scene's own point cloud, in world coordinates.

    Raises:
        ValueError: No view has a camera.
    """
    write_points(scene.view_clouds() if cloud is None else cloud, path)


def write_points(cloud: Cloud, path: Path) -> None:
    """Write x, y, z float32; red, green, blue uint8; confidence float32."""
    vertex = np.dtype([("position", "<f4", 3), ("color", "u1", 3), ("confidence", "<f4")])
    with path.open("wb") as file:
        file.write(_header(num_points(cloud), "property float confidence"))
        for part in parts_of(cloud):
            vertices = np.empty(len(part), vertex)
            vertices["position"] = part.points.numpy()
            vertices["color"] = part.colors.numpy()
            vertices["confidence"] = part.confidence.numpy()
            file.write(vertices.data)


def write_triangles(
    points: Float[Tensor, "points 3"],
    colors: UInt8[Tensor, "points 3"],
    corners: Int64[Tensor, "triangles 3"],
    path: Path,
) -> None:
    """Write x, y, z float32; red, green, blue uint8; and which three points each triangle joins."""
    vertices = np.empty(len(points), [("position", "<f4", 3), ("color", "u1", 3)])
    vertices["position"], vertices["color"] = points.numpy(), colors.numpy()
    faces = np.empty(len(corners), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, corners.numpy()
    of_faces = (f"element face {len(faces)}", "property list uchar int vertex_indices")
    with path.open("wb") as file:
        file.write(_header(len(points), *of_faces))
        file.write(vertices.data)
        file.write(faces.data)


def _header(num_vertices: int, *others: str) -> bytes:
    """Return the head of a file, with `others` behind the positions and colours of vertices."""
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {num_vertices}"]
    return "\n".join([*lines, *_POSITION_AND_COLOR, *others, "end_header\n"]).encode("ascii")
