"""Cameras that are fixed to each other: what they say of the scale, and frames made rigid."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import invert_rigid
from fast3r.geometry.transforms import nearest_rotation, rotation_angle_deg
from fast3r.scene.priors.checks import rigid
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.placing import DepthFor, place
from fast3r.scene.priors.scales import LENGTH_SIGMA, ScaleVote
from fast3r.scene.priors.types import Rig
from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.names import Names
from fast3r.views.view import View

_MAX_TURN_DEG = 10.0
"""Between what the members of a rig say of its rotation; the poses of a pass err by a few."""

_MAX_SHIFT = 0.15
"""Between what they say of its place, relative to the median depth of the scene."""


@dataclass(frozen=True)
class BoundRig:
    """A rig by the indices of its photos."""

    frames: list[dict[int, Float[Tensor, "4 4"]]]
    """For each moment, `rig_from_camera` in float64 of the views that were taken."""

    metric: bool
    """Whether the unit is the metre."""

    name: str
    """For messages."""

    @property
    def has_baselines(self) -> bool:
        """Whether its cameras are in different places, so that its unit matters."""
        places = torch.stack([pose[:3, 3] for frame in self.frames for pose in frame.values()])
        return not torch.equal(places, places[:1].expand_as(places))


def bind_rig(rig: Rig, names: Names, *, what: str) -> BoundRig:
    """Return a rig by the indices of its views.

    Raises:
        ValueError: It cannot be one, or is of no view.
    """
    cameras = {
        key: rigid(pose, what=f"{what}, camera {key}") for key, pose in rig.rig_from_camera.items()
    }
    taken = [frame for frame in rig.frames if frame]
    if len(cameras) < 2 or not taken:
        raise ValueError(
            f"{what}: expected at least 2 cameras and 1 frame, got {len(cameras)} and {len(taken)}"
        )
    frames: list[dict[int, Tensor]] = []
    for frame in taken:
        frames.append({})
        for key, name in frame.items():
            if key not in cameras:
                raise ValueError(f"{what}: camera {key!r} is none of {', '.join(cameras)}")
            index = names.index(name, what=what)
            if any(index in earlier for earlier in frames):
                raise ValueError(f"{what}: {name} is there twice")
            frames[-1][index] = cameras[key]
    return BoundRig(frames, rig.metric, what)


def panorama_rigs(views: Sequence[View]) -> list[BoundRig]:
    """Return panoramas as rigs of their faces, which have one centre."""
    frames: dict[str, dict[int, Tensor]] = {}
    for index, view in enumerate(views):
        if view.face is not None:
            panorama_from_face = torch.eye(4, dtype=torch.float64)
            panorama_from_face[:3, :3] = view.face.panorama_from_face
            frames.setdefault(view.face.panorama, {})[index] = panorama_from_face
    return [BoundRig([frame], False, f"panorama {name}") for name, frame in frames.items()]


def rig_votes(scene: Reconstruction, rigs: Sequence[BoundRig]) -> Iterator[ScaleVote | PriorCheck]:
    """Yield what each metric rig says of the scale, or why it says nothing."""
    for rig in rigs:
        if not rig.metric:
            continue
        name = f"baselines of {rig.name}"
        logs = torch.tensor(_units(scene, rig), dtype=torch.float64).log()
        if len(logs) == 0:
            yield PriorCheck.unused(name, "no frame has two cameras with a place")
            continue
        middle = logs.median()
        spread = 1.4826 * (logs - middle).abs().median().item() / math.sqrt(len(logs))
        # One pair does not tell how well the scene knows so short a length.
        floor = 0.1 if len(logs) < 3 else LENGTH_SIGMA
        yield ScaleVote(name, "rigs", -middle.item(), max(spread, floor))


def _units(scene: Reconstruction, rig: BoundRig) -> list[float]:
    """Return scene units per unit of a rig, for each pair of its cameras with a place."""
    ratios = []
    for frame in rig.frames:
        members = [i for i in frame if scene.cameras[i] is not None]
        for i, j in combinations(members, 2):
            apart = frame[i][:3, 3] - frame[j][:3, 3]
            found = _pose(scene, i)[:3, 3] - _pose(scene, j)[:3, 3]
            ratio = (found.norm() / apart.norm()).item()
            if math.isfinite(ratio) and ratio > 0:
                ratios.append(ratio)
    return ratios


def place_rigs(
    scene: Reconstruction,
    rigs: Sequence[BoundRig],
    *,
    intrinsics: Mapping[int, Float[Tensor, "3 3"]],
    fixed: Sequence[int],
    depth_for: DepthFor | None,
) -> tuple[Reconstruction, list[PriorCheck]]:
    """Return the scene with every frame of a rig rigid, and how well its members agreed.

    Args:
        scene: In the world to be.
        rigs: Those of its views.
        intrinsics: What is known, for members without a camera.
        fixed: Views whose pose is known: they decide where their frame is.
        depth_for: See `place`.
    """
    checks = []
    for rig in rigs:
        unit = _unit_in(scene, rig)
        if unit is None:
            note = "no frame has two cameras with a place, and the scale is not metric"
            checks.append(PriorCheck.unused(rig.name, note))
            continue
        poses, worst_deg, worst_shift = _rig_poses(scene, rig, unit, fixed)
        scene = place(scene, poses, intrinsics, depth_for)
        allowed = _MAX_SHIFT * _typical_depth(scene)
        length = "m" if scene.scale.kind == "metric" else "units"
        checks += [
            PriorCheck.measured(f"rotations of {rig.name}", worst_deg, _MAX_TURN_DEG, "deg"),
            PriorCheck.measured(f"places of {rig.name}", worst_shift, allowed, length),
        ]
    return scene, checks


def _unit_in(scene: Reconstruction, rig: BoundRig) -> float | None:
    """Return units of the scene per unit of a rig; None where nothing tells it."""
    if not rig.has_baselines or (rig.metric and scene.scale.kind == "metric"):
        return 1.0
    ratios = _units(scene, rig)
    return sorted(ratios)[len(ratios) // 2] if ratios else None


def _rig_poses(
    scene: Reconstruction, rig: BoundRig, unit: float, fixed: Sequence[int]
) -> tuple[dict[int, Float[Tensor, "4 4"]], float, float]:
    """Return poses that make each frame rigid, and the worst angle and shift of a member."""
    poses: dict[int, Float[Tensor, "4 4"]] = {}
    angles_deg, shifts = [0.0], [0.0]
    for frame in rig.frames:
        rig_from_camera = {i: _sized(pose, unit) for i, pose in frame.items()}
        members = [i for i in frame if scene.cameras[i] is not None]
        deciding = [i for i in members if i in fixed] or members
        if not deciding:
            continue
        said = [_pose(scene, i) @ invert_rigid(rig_from_camera[i]) for i in deciding]
        world_from_rig = _mean_pose(torch.stack(said))
        rigid_poses = {i: world_from_rig @ pose for i, pose in rig_from_camera.items()}
        for i in members:
            found, pose = _pose(scene, i), rigid_poses[i]
            angles_deg.append(rotation_angle_deg(found[:3, :3], pose[:3, :3]).item())
            shifts.append((found[:3, 3] - pose[:3, 3]).norm().item())
        poses |= {i: pose for i, pose in rigid_poses.items() if i not in fixed}
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
    return scene.camera(index).world_from_camera.double()


def _typical_depth(scene: Reconstruction) -> float:
    medians = [
        scene.depth[i][scene.valid(i)].median() for i in scene.registered if scene.valid(i).any()
    ]
    return torch.stack(medians).median().item() if medians else math.inf
