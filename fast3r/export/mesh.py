"""`mesh.ply`: the surface that the depth maps agree on, as coloured triangles.

Depth is fused in a volume; the surface in it is found by marching cubes (Lorensen and Cline 1987),
by scikit-image. A forward pass is not a laser scanner: what views disagree on becomes bumps, and
where no view is sure there is a hole.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from fast3r.export.ply import write_triangles
from fast3r.geometry.lenses import ideal_from_photo
from fast3r.geometry.volume import SeenSurface, Volume
from fast3r.scene.point_cloud import Cloud, PointCloud, evenly_thinned, parts_of
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.photos import network_pixels

# Of the voxels along the longest side: finer ones cost memory and show noise.
_MOST_VOXELS = 384
# In voxels. Less makes holes where views disagree, more joins surfaces close to each other.
_TRUNCATION = 4.0
# Parts with fewer triangles than this share of all are specks.
_SPECK = 0.002
# So many tell where the surface is: a hundred for each block of voxels.
_CORE_POINTS = 1_000_000


@dataclass(frozen=True)
class Mesh:
    """A coloured triangle mesh in world units."""

    vertices: Float[Tensor, "vertices 3"]
    """Positions."""

    faces: Int64[Tensor, "faces 3"]
    """Indices of vertices, counter-clockwise as seen from outside."""

    colors: UInt8[Tensor, "vertices 3"]
    """RGB."""


def write(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write the surface through the points of `cloud` as binary little-endian PLY.

    Raises:
        ValueError: No view has a camera, or no two views agree on a surface.
        ImportError: scikit-image is not installed.
    """
    mesh = make_mesh(scene, cloud=cloud)
    write_triangles(mesh.vertices, mesh.colors, mesh.faces, path)


def make_mesh(
    scene: Reconstruction, *, voxel: float | None = None, cloud: Cloud | None = None
) -> Mesh:
    """Return the surface of a scene.

    Args:
        scene: With cameras and depth.
        voxel: Size of the smallest detail, in world units; by default one and a half pixels of a
            depth map, and not finer than 1/384 of the scene.
        cloud: Points of the surface; pixels whose points are not in it do not count. Without it
            those of `scene.point_cloud()`.

    Raises:
        ValueError: No view has a camera, there is no point or no surface, or `voxel` is not
            positive.
        ImportError: scikit-image is not installed.
    """
    if voxel is not None and not voxel > 0:
        raise ValueError(f"voxel must be positive, got {voxel}")
    marching_cubes = _import_marching_cubes()
    cloud = scene.view_clouds() if cloud is None else cloud
    core = _core(evenly_thinned(cloud, _CORE_POINTS).points)
    voxel = voxel or _voxel(scene, core)
    volume = Volume(core, voxel, _TRUNCATION * voxel)
    for part in parts_of(cloud):
        for index in part.view_index.unique().tolist():
            volume.add(_seen(scene, index, part))
    distance, known, first = volume.dense()
    if not (known & (distance < 0)).any() or not (known & (distance > 0)).any():
        raise ValueError("the depth maps have no surface in common, so there is no mesh")
    found, corners, _, _ = marching_cubes(distance.numpy(), 0.0)
    vertices = torch.from_numpy(np.ascontiguousarray(found))
    faces = torch.from_numpy(corners.astype(np.int64))
    faces = faces[_known_cells(known)[vertices[faces].mean(dim=1).long().unbind(-1)]]
    points = vertices * voxel + first
    colors = volume.colors_at(points).round().clamp(0, 255).to(torch.uint8)
    return _without_specks(Mesh(points, faces, colors))


def _import_marching_cubes() -> Any:
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise ImportError("a mesh needs scikit-image: pip install 'fast3r[mesh]'") from error
    return marching_cubes


def _known_cells(known: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x-1 y-1 z-1"]:
    """Return between which eight voxels the surface can be told, from their first one's place."""
    for axis in range(3):
        size = known.shape[axis] - 1
        known = known.narrow(axis, 0, size) & known.narrow(axis, 1, size)
    return known


def _core(points: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
    """Return the points without those far out, which would make the volume huge."""
    if len(points) == 0:
        raise ValueError("no point is left for a mesh; lower min_confidence or min_conf_percentile")
    centre = points.median(dim=0).values
    distance = torch.linalg.vector_norm(points - centre, dim=-1)
    near = 3 * distance.sort().values[int(0.9 * (len(distance) - 1))]
    return points[distance <= near]


def _voxel(scene: Reconstruction, core: Float[Tensor, "points 3"]) -> float:
    footprints = []
    for index in scene.registered:
        depth = scene.depth[index][scene.valid(index)]
        if len(depth):
            footprints.append(float(depth.median()) / scene.network_focal_px(index))
    longest = float((core.amax(dim=0) - core.amin(dim=0)).max())
    return max(1.5 * float(np.median(footprints)), longest / _MOST_VOXELS)


def _seen(scene: Reconstruction, index: int, cloud: PointCloud) -> SeenSurface:
    camera = scene.camera(index)
    depth = scene.depth[index].clone()
    depth[~_trusted(scene, index, cloud)] = 0
    return SeenSurface(
        depth=depth,
        weight=scene.confidence[index],
        colors=scene.views[index].pixels.float(),
        intrinsics=scene.network_intrinsics(index).float(),
        world_from_camera=camera.world_from_camera.float(),
    )


def _trusted(scene: Reconstruction, index: int, cloud: PointCloud) -> Tensor:
    """Return which pixels of a view are in the cloud, by where they lie in the original photo."""
    view = scene.views[index]
    pixel = ideal_from_photo(cloud.pixel[cloud.view_index == index].double(), view.lens)
    column, row, _ = network_pixels(view, pixel)
    trusted = torch.zeros(view.height, view.width, dtype=torch.bool)
    trusted[row, column] = True
    return trusted


def _without_specks(mesh: Mesh) -> Mesh:
    """Return the mesh without parts of a few triangles."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    faces = mesh.faces.numpy()
    edges = np.concatenate((faces[:, :2], faces[:, 1:]))
    count = len(mesh.vertices)
    links = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count))
    part = torch.from_numpy(connected_components(links, directed=False)[1]).long()
    size = torch.bincount(part[mesh.faces[:, 0]])
    faces_kept = mesh.faces[size[part[mesh.faces[:, 0]]] >= _SPECK * len(mesh.faces)]
    used, faces_new = faces_kept.unique(return_inverse=True)
    return Mesh(mesh.vertices[used], faces_new, mesh.colors[used])
