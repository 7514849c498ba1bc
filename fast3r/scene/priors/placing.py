"""Cameras that are known are put in place, alone or as members of a rig."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import Camera, invert_rigid, pinhole
from fast3r.geometry.transforms import nearest_rotation, rotation_angle_deg
from fast3r.scene.priors.binding import BoundPriors, BoundRig
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.votes import rig_unit
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.view import View

DepthFor = Callable[[int, Camera], Tensor | None]
"""Returns the depth of a view from what the network said, given its camera."""

_MAX_TURN_DEG = 10.0
"""Between what the members of a rig say of its rotation; the poses of a pass err by a few."""

_MAX_SHIFT = 0.15
"""Between what they say of its place, relative to the median depth of the scene."""


def place(
    scene: Reconstruction,
    poses: dict[int, Float[Tensor, "4 4"]],
    known: BoundPriors,
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
        intrinsics = known.intrinsics.get(index)
        intrinsics = _intrinsics_like(scene, index) if intrinsics is None else intrinsics
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
    *,
    share_of_place: float,
    share_of_turn: float,
) -> Float[Tensor, "4 4"]:
    """Return a pose between a known one (shares of 1) and the one that was found (0)."""
    pose = known.clone()
    pose[:3, 3] = share_of_place * known[:3, 3] + (1 - share_of_place) * found[:3, 3]
    mixed = share_of_turn * known[:3, :3] + (1 - share_of_turn) * found[:3, :3]
    pose[:3, :3] = nearest_rotation(mixed)
    return pose


def place_rigs(
    scene: Reconstruction,
    known: BoundPriors,
    fixed: Sequence[int],
    depth_for: DepthFor | None,
) -> tuple[Reconstruction, list[PriorCheck]]:
    """Return the scene with every frame of a rig rigid, and how well its members agreed.

    Args:
        scene: In the world to be.
        known: Rigs, and intrinsics for members without a camera.
        fixed: Views whose pose is known: they decide where their frame is.
        depth_for: See `place`.
    """
    checks = []
    for rig in known.rigs:
        ratios = rig_unit(scene, rig)
        unitless = not rig.has_baselines or (rig.metric and scene.scale.kind == "metric")
        unit = 1.0 if unitless else sorted(ratios)[len(ratios) // 2] if ratios else None
        name = rig.name
        if unit is None:
            note = "no frame has two cameras with a place, and the scale is not metric"
            checks.append(PriorCheck(name, "unused", note=note))
            continue
        poses, worst_deg, worst_shift = _rig_poses(scene, rig, unit, fixed)
        scene = place(scene, poses, known, depth_for)
        allowed = _MAX_SHIFT * _typical_depth(scene)
        length = "m" if scene.scale.kind == "metric" else "units"
        checks += [
            _check(f"rotations of {name}", worst_deg, _MAX_TURN_DEG, "deg"),
            _check(f"places of {name}", worst_shift, allowed, length),
        ]
    return scene, checks


def _rig_poses(
    scene: Reconstruction, rig: BoundRig, unit: float, fixed: Sequence[int]
) -> tuple[dict[int, Float[Tensor, "4 4"]], float, float]:
    """Return poses that make each frame rigid, and the worst angle and shift of a member."""
    poses: dict[int, Float[Tensor, "4 4"]] = {}
    angles_deg, shifts = [0.0], [0.0]
    for frame in rig.frames:
        members = {key: i for key, i in frame.items() if scene.cameras[i] is not None}
        deciding = {key: i for key, i in members.items() if i in fixed} or members
        if not deciding:
            continue
        world_from_rig = _mean_pose(
            torch.stack(
                [
                    _pose(scene, i) @ invert_rigid(_sized(rig.rig_from_camera[key], unit))
                    for key, i in deciding.items()
                ]
            )
        )
        for key, index in frame.items():
            pose = world_from_rig @ _sized(rig.rig_from_camera[key], unit)
            if key in members:
                found = _pose(scene, index)
                angles_deg.append(rotation_angle_deg(found[:3, :3], pose[:3, :3]).item())
                shifts.append((found[:3, 3] - pose[:3, 3]).norm().item())
            if index not in fixed:
                poses[index] = pose
    return poses, max(angles_deg), max(shifts)


def _mean_pose(poses: Float[Tensor, "members 4 4"]) -> Float[Tensor, "4 4"]:
    mean = poses.mean(dim=0)
    mean[:3, :3] = nearest_rotation(mean[:3, :3])
    return mean


def _sized(pose: Float[Tensor, "4 4"], unit: float) -> Float[Tensor, "4 4"]:
    sized = pose.clone()
    sized[:3, 3] *= unit
    return sized


def _pose(scene: Reconstruction, index: int) -> Float[Tensor, "4 4"]:
    camera = scene.cameras[index]
    assert camera is not None
    return camera.world_from_camera.double()


def _typical_depth(scene: Reconstruction) -> float:
    medians = [
        scene.depth[i][scene.valid(i)].median() for i in scene.registered if scene.valid(i).any()
    ]
    return torch.stack(medians).median().item() if medians else math.inf


def _check(name: str, residual: float, allowed: float, unit: str) -> PriorCheck:
    status = "agrees" if residual <= allowed else "disagrees"
    return PriorCheck(name, status, residual, allowed, unit)


def _intrinsics_like(scene: Reconstruction, index: int) -> Float[Tensor, "3 3"] | None:
    """Return the intrinsics of a view of the same camera, else those of the median focal length."""
    view = scene.views[index]
    key = (view.camera_key, view.original_height, view.original_width)
    relative = []
    for _, other, camera in _posed(scene):
        if (other.camera_key, other.original_height, other.original_width) == key:
            return camera.intrinsics.double()
        relative.append(camera.intrinsics[0, 0].item() / max(camera.height, camera.width))
    if not relative:
        return None
    focal_px = sorted(relative)[len(relative) // 2] * max(view.original_height, view.original_width)
    return pinhole(torch.tensor(focal_px).double(), view.original_height, view.original_width)


def _posed(scene: Reconstruction) -> list[tuple[int, View, Camera]]:
    return scene.posed_views() if scene.registered else []
