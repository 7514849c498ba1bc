"""Cameras that are known are put in place."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import Camera, pinhole
from fast3r.geometry.transforms import nearest_rotation
from fast3r.scene.reconstruction import Reconstruction

DepthFor = Callable[[int, Camera], Tensor | None]
"""Returns the depth of a view from what the network said, given its camera."""


def place(
    scene: Reconstruction,
    poses: dict[int, Float[Tensor, "4 4"]],
    known_intrinsics: Mapping[int, Float[Tensor, "3 3"]],
    depth_for: DepthFor | None,
) -> Reconstruction:
    """Return the scene with cameras put where they are known to be.

    Views that had no camera get one, and depth where the network's points agree with it.
    """
    cameras, depth = list(scene.cameras), list(scene.depth)
    failures = list(scene.failures)
    for index, pose in poses.items():
        camera = cameras[index]
        if camera is not None:
            moved = pose.to(camera.world_from_camera)
            cameras[index] = replace(camera, world_from_camera=moved)
            continue
        intrinsics = known_intrinsics.get(index)
        if intrinsics is None:
            intrinsics = _intrinsics_like(scene, index)
        if intrinsics is None:
            failures[index] = "its pose is known, but no focal length of it or any other view"
            continue
        view = scene.views[index]
        height, width = view.original_height, view.original_width
        camera = Camera(intrinsics.float(), pose.float(), height, width)
        cameras[index], failures[index] = camera, None
        found = None if depth_for is None else depth_for(index, camera)
        depth[index] = torch.zeros_like(depth[index]) if found is None else found
    uncertainty = scene.uncertainty and scene.uncertainty.without(poses)
    return replace(scene, cameras=cameras, depth=depth, failures=failures, uncertainty=uncertainty)


def between(
    known: Float[Tensor, "4 4"],
    found: Float[Tensor, "4 4"],
    share_of_place: float,
    share_of_turn: float,
) -> Float[Tensor, "4 4"]:
    """Return a pose between a known one (shares of 1) and the one that was found (0)."""
    pose = known.clone()
    pose[:3, 3] = share_of_place * known[:3, 3] + (1 - share_of_place) * found[:3, 3]
    mixed = share_of_turn * known[:3, :3] + (1 - share_of_turn) * found[:3, :3]
    pose[:3, :3] = nearest_rotation(mixed)
    return pose


def _intrinsics_like(scene: Reconstruction, index: int) -> Float[Tensor, "3 3"] | None:
    """Return the intrinsics of a view of the same camera, else those of the median focal length."""
    view = scene.views[index]
    key = (view.camera_key, view.original_height, view.original_width)
    relative = []
    for other, camera in zip(scene.views, scene.cameras, strict=True):
        if camera is None:
            continue
        if (other.camera_key, other.original_height, other.original_width) == key:
            return camera.intrinsics.double()
        relative.append(camera.intrinsics[0, 0].item() / max(camera.height, camera.width))
    if not relative:
        return None
    focal_px = sorted(relative)[len(relative) // 2] * max(view.original_height, view.original_width)
    return pinhole(torch.tensor(focal_px).double(), view.original_height, view.original_width)
