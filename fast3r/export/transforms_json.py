"""`transforms.json`: cameras for nerfstudio and its relatives, with a light point cloud beside.

Frames name the photos as the scene does, relative to the input folder: put the file next to the
photos, or point the program at both.
"""

import json
from pathlib import Path

import torch

from fast3r.export.cameras_json import world_entries
from fast3r.export.ply import write_points
from fast3r.export.tracks import surest_of_each_view
from fast3r.geometry.cameras import Camera
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.view import View

POINTS_NAME = "sparse_pc.ply"
MAX_POINTS = 100_000
"""Enough to start Gaussian splatting, which makes one Gaussian of each."""


def write(scene: Reconstruction, path: Path, *, cloud: PointCloud | None = None) -> None:
    """Write the registered views, and the start of a splat as `sparse_pc.ply` beside.

    Poses are camera to world with OpenGL axes (x right, y up, z backward); intrinsics are in
    pixels of the original photos, pixel centres at +0.5. `applied_transform` is the identity:
    the world is that of all other files, turned by nothing.

    Raises:
        ValueError: No view has a camera.
    """
    cloud = scene.point_cloud() if cloud is None else cloud
    document = {
        "camera_model": "OPENCV",
        "applied_transform": torch.eye(4)[:3].tolist(),
        "ply_file_path": POINTS_NAME,
        **world_entries(scene),
        "frames": [_frame(view, camera) for _, view, camera in scene.posed_views()],
    }
    write_points(surest_of_each_view(cloud, MAX_POINTS), path.with_name(POINTS_NAME))
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _frame(view: View, camera: Camera) -> dict[str, object]:
    intrinsics = camera.intrinsics
    opencv_from_opengl = torch.diag(camera.world_from_camera.new_tensor([1, -1, -1, 1]))
    return {
        "file_path": view.name,
        "w": camera.width,
        "h": camera.height,
        "fl_x": intrinsics[0, 0].item(),
        "fl_y": intrinsics[1, 1].item(),
        "cx": intrinsics[0, 2].item(),
        "cy": intrinsics[1, 2].item(),
        "transform_matrix": (camera.world_from_camera @ opencv_from_opengl).tolist(),
    }
