"""`colmap/sparse/0`: the scene as a sparse model of COLMAP, for Gaussian splatting and the like.

Cameras are in pixels of the original photos, PINHOLE or with the lens that they were known to
have, so the photos themselves are the images. Panoramas are there by their faces, each a PINHOLE
image of its own, as few programs know panoramas.
"""

from pathlib import Path

import torch

from fast3r.camera_files.colmap_model import ColmapCamera, ColmapImage, ColmapModel, ColmapPoints
from fast3r.export.colmap_writer import write_binary, write_text
from fast3r.export.tracks import Sighting, sightings, surest_of_each_view
from fast3r.geometry.cameras import Camera, invert_rigid
from fast3r.scene.point_cloud import Cloud, PointCloud
from fast3r.scene.reconstruction import Reconstruction

MAX_POINTS = 100_000
"""Enough to start Gaussian splatting; COLMAP's own models of such scenes are of this size."""


def write(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write the binary model into the folder `path`; see `colmap_model` for what is in it."""
    write_binary(colmap_model(scene, cloud=cloud), path)


def write_as_text(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write the model as text into the folder `path`; see `colmap_model` for what is in it."""
    write_text(colmap_model(scene, cloud=cloud), path)


def colmap_model(scene: Reconstruction, *, cloud: Cloud | None = None) -> ColmapModel:
    """Return the registered views and points of `cloud`, or of the scene's own point cloud.

    Image keys are view indices plus 1. Views of equal size and intrinsics share a camera. Each
    point is tracked through all views whose depth agrees with it (see `tracks.sightings`).

    Raises:
        ValueError: No view has a camera.
    """
    cloud = scene.view_clouds() if cloud is None else cloud
    cloud = surest_of_each_view(cloud, MAX_POINTS)
    seen = sightings(scene, cloud)
    keys: dict[ColmapCamera, int] = {}
    images = {}
    for i, view, camera in scene.posed_views():
        camera_id = keys.setdefault(_camera(camera), len(keys) + 1)
        pose = invert_rigid(camera.world_from_camera.double())
        images[i + 1] = ColmapImage(view.name, camera_id, pose, seen[i].xy, seen[i].point_index + 1)
    cameras = {key: camera for camera, key in keys.items()}
    return ColmapModel(cameras, images, _points(cloud, seen))


def _camera(camera: Camera) -> ColmapCamera:
    lens = camera.lens
    if lens is not None:
        return ColmapCamera(lens.model, camera.width, camera.height, lens.parameters)
    (fx, skew, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
    assert skew == 0, "PINHOLE has no skew"
    return ColmapCamera("PINHOLE", camera.width, camera.height, (fx, fy, cx, cy))


def _points(cloud: PointCloud, seen: dict[int, Sighting]) -> ColmapPoints:
    """Return the points with their tracks, gathered from what each view sees."""
    image_ids = [torch.full_like(s.point_index, i + 1) for i, s in seen.items()]
    rows = [torch.arange(len(s.point_index)) for s in seen.values()]
    point_index = torch.cat([s.point_index for s in seen.values()])
    order = point_index.argsort(stable=True)
    lengths = point_index.bincount(minlength=len(cloud))
    error_px = torch.cat([s.error_px for s in seen.values()])
    return ColmapPoints(
        ids=torch.arange(len(cloud)) + 1,
        positions=cloud.points.double(),
        colors=cloud.colors,
        errors=point_index.bincount(error_px, minlength=len(cloud)) / lengths,
        track_starts=lengths.cumsum(0) - lengths,
        tracks=torch.stack((torch.cat(image_ids), torch.cat(rows)), dim=-1)[order],
    )
