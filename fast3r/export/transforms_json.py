"""`transforms.json`: cameras for nerfstudio and its relatives, with a light point cloud beside.

Frames name the photos as the scene does, relative to the input folder: put the file next to the
photos, or point the program at both.
"""

import json
from pathlib import Path

import torch

from fast3r.export.cameras_json import panorama_entries, world_entries
from fast3r.export.masks import write_masks
from fast3r.export.ply import write_points
from fast3r.export.tracks import surest_of_each_view
from fast3r.geometry.cameras import Camera
from fast3r.geometry.lenses import Lens
from fast3r.scene.point_cloud import Cloud
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.view import View

POINTS_NAME = "sparse_pc.ply"
MAX_POINTS = 100_000
"""Enough to start Gaussian splatting, which makes one Gaussian of each."""


def write(
    scene: Reconstruction, path: Path, *, cloud: Cloud | None = None, photos: str = ""
) -> None:
    """Write the registered views, and the start of a splat as `sparse_pc.ply` beside.

    Poses are camera to world with OpenGL axes (x right, y up, z backward); intrinsics are in
    pixels of the original photos, pixel centres at +0.5. `applied_transform` is the identity:
    the world is that of all other files, turned by nothing. Known lenses are told as OPENCV or
    OPENCV_FISHEYE with their coefficients; panoramas by their faces. Where masks hide parts of
    photos, they are written into a folder beside (see `write_masks`).

    Args:
        scene: What to write.
        path: The file.
        cloud: Points to start from; without it the scene's own.
        photos: Where the photos are as seen from the file, with a slash at its end.

    Raises:
        ValueError: No view has a camera, or a lens is none that nerfstudio knows.
    """
    camera_model = _camera_model(scene)
    cloud = scene.view_clouds() if cloud is None else cloud
    masks = path.with_name(f"{path.stem}_masks")
    masked = write_masks(scene, masks)
    frames = []
    for _, view, camera in scene.posed_views():
        mask = {"mask_path": f"{masks.name}/{view.name}.png"} if masked else {}
        frames.append({"file_path": photos + view.name, **_camera(view, camera), **mask})
    document = {
        "camera_model": camera_model,
        "applied_transform": torch.eye(4)[:3].tolist(),
        "ply_file_path": POINTS_NAME,
        **world_entries(scene),
        **panorama_entries(scene),
        "frames": frames,
    }
    write_points(surest_of_each_view(cloud, MAX_POINTS), path.with_name(POINTS_NAME))
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _camera_model(scene: Reconstruction) -> str:
    """Return the model of all frames, of which there can be one."""
    lenses = {view.name: view.lens for _, view, _ in scene.posed_views()}
    fisheyes = [name for name, lens in lenses.items() if lens is not None and lens.is_fisheye]
    others = [name for name in lenses if name not in fisheyes]
    if fisheyes and others:
        raise ValueError(
            f"a transforms.json has one camera model for all frames, and {fisheyes[0]} is of a "
            f"fisheye while {others[0]} is not; use colmap or cameras"
        )
    return "OPENCV_FISHEYE" if fisheyes else "OPENCV"


def _coefficients(lens: Lens, name: str) -> dict[str, float]:
    rational = [key for key in ("k4", "k5", "k6") if lens.coefficients.get(key)]
    if not lens.is_fisheye and rational:
        raise ValueError(
            f"transforms.json cannot hold {rational[0]} of the lens of {name} ({lens.model}); use "
            "colmap or cameras"
        )
    kept = ("k1", "k2", "k3", "k4") if lens.is_fisheye else ("k1", "k2", "k3", "p1", "p2")
    return {key: value for key, value in lens.coefficients.items() if key in kept}


def _camera(view: View, camera: Camera) -> dict[str, object]:
    intrinsics = camera.intrinsics
    opencv_from_opengl = torch.diag(camera.world_from_camera.new_tensor([1, -1, -1, 1]))
    return {
        "w": camera.width,
        "h": camera.height,
        "fl_x": intrinsics[0, 0].item(),
        "fl_y": intrinsics[1, 1].item(),
        "cx": intrinsics[0, 2].item(),
        "cy": intrinsics[1, 2].item(),
        **({} if camera.lens is None else _coefficients(camera.lens, view.name)),
        "transform_matrix": (camera.world_from_camera @ opencv_from_opengl).tolist(),
    }
