"""How two chunks lie to each other, as a link of the pose graph."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.cameras import invert_rigid, project
from fast3r.geometry.robust import MEDIAN_LENGTH_3D
from fast3r.geometry.transforms import Similarity
from fast3r.scene.joining import TOLERANCE, Joint, join
from fast3r.scene.reconstruction import Reconstruction

# Two passes that agree by chance to many digits are not as sure as that of each other.
_LEAST_PLACE, _LEAST_TURN = 0.003, math.radians(0.2)
# A loop claims more than neighbours do, which are known to meet.
_MIN_LOOP_INLIERS = 0.4
_MIN_SEEN_TOGETHER = 0.05
_SAMPLE_POINTS = 400


@dataclass(frozen=True)
class Link:
    """Two chunks that share views, or the two ends of a loop."""

    first: int
    """Index of one chunk."""

    second: int
    """Index of the other."""

    loop: bool
    """Whether an extra pass says so."""

    joints: tuple[Joint, ...]
    """How the scenes fit on their shared views: one joint between chunks, one at each end of a
    loop."""

    first_from_joint: Similarity | None
    """Where the place at which both meet lies in the first chunk; None where they do not."""

    second_from_joint: Similarity | None
    """Where it lies in the second chunk."""

    sigma: Float[Tensor, " 7"]
    """Standard deviations, see `pose_graph.Links`."""

    reason: str | None
    """Why they do not meet."""


def shared_views(first: Sequence[int], second: Sequence[int]) -> list[tuple[int, int]]:
    """Return the places of common views in one list and in the other."""
    places = {view: place for place, view in enumerate(second)}
    return [(i, places[view]) for i, view in enumerate(first) if view in places]


def link_neighbours(
    first: int,
    second: int,
    scenes: tuple[Reconstruction, Reconstruction],
    shared: Sequence[tuple[int, int]],
    *,
    seed: int,
) -> Link:
    """Return the link between chunks that share views."""
    a, b = scenes
    joint = join(a, b, shared, seed=seed)
    sigma = _sigma(joint, max(len(a.views), len(b.views)))
    reason = joint.reason
    if reason is None and joint.views < 2:
        reason = "a single shared view has a camera in both, and nothing vouches for it"
    if reason is not None or joint.a_from_b is None:
        return Link(first, second, False, (joint,), None, None, sigma, reason)
    place = _meeting_place(a, [i for i, _ in shared])
    there = joint.a_from_b.inverse() @ place
    return Link(first, second, False, (joint,), place, there, sigma, None)


def link_loop(
    first: int,
    second: int,
    scenes: tuple[Reconstruction, Reconstruction],
    between: Reconstruction,
    shared: tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]],
    *,
    seed: int,
) -> Link:
    """Return the link by a scene that has views of both chunks.

    Args:
        first: Index of one chunk.
        second: Index of the other.
        scenes: Of these chunks.
        between: The scene made of views of both.
        shared: For each chunk, the places of views in it and in the scene between.
        seed: Of all sampling.
    """
    joints = tuple(
        join(scene, between, pairs, seed=seed) for scene, pairs in zip(scenes, shared, strict=True)
    )
    each = torch.stack([_sigma(joint, len(between.views)) for joint in joints])
    sigma = each.square().sum(dim=0).sqrt()
    ends = [[place for _, place in pairs] for pairs in shared]
    reason = _loop_reason(joints, between, ends)
    maps = [joint.a_from_b for joint in joints if joint.a_from_b is not None]
    if reason is not None or len(maps) < 2:
        return Link(first, second, True, joints, None, None, sigma, reason)
    place = _meeting_place(between, [*ends[0], *ends[1]])
    return Link(first, second, True, joints, maps[0] @ place, maps[1] @ place, sigma, None)


def _sigma(joint: Joint, pass_views: int) -> Float[Tensor, " 7"]:
    """Return how unsure one end of a pass is of the other.

    What two passes disagree about over the views that they share grows along a pass like a random
    walk: with the root of how many times longer it is.
    """
    growth = math.sqrt(max(pass_views / max(joint.views, 1), 1.0))
    place = growth * max(joint.residual / MEDIAN_LENGTH_3D, _LEAST_PLACE)
    turn = growth * max(math.radians(joint.rotation_deg) / MEDIAN_LENGTH_3D, _LEAST_TURN)
    if math.isnan(turn):
        turn = place
    return torch.tensor([turn] * 3 + [place] * 4, dtype=torch.float64)


def _meeting_place(scene: Reconstruction, views: Sequence[int]) -> Similarity:
    """Return a frame in the middle of what some views see, whose unit is their median depth."""
    centres, depths = [], []
    for index in views:
        camera, valid = scene.cameras[index], scene.valid(index)
        if camera is None or not valid.any():
            continue
        depth = scene.depth[index][valid].median().double()
        pose = camera.world_from_camera.double()
        centres.append(pose[:3, 3] + depth * pose[:3, 2])
        depths.append(depth)
    if not depths:  # the cameras alone told how the scenes lie
        poses = [c.world_from_camera.double() for i in views if (c := scene.cameras[i]) is not None]
        centres = [pose[:3, 3] for pose in poses]
        depths = [torch.pdist(torch.stack(centres)).median()]
    eye = torch.eye(3, dtype=torch.float64)
    return Similarity(torch.stack(depths).median(), eye, torch.stack(centres).median(dim=0).values)


def _loop_reason(
    joints: Sequence[Joint], between: Reconstruction, ends: Sequence[Sequence[int]]
) -> str | None:
    for joint in joints:
        if joint.reason is not None:
            return joint.reason
        if joint.views < 2:
            return "a single view of one end has a camera"
        if joint.inlier_ratio < _MIN_LOOP_INLIERS:
            return (
                f"the pointmaps agree at {joint.inlier_ratio:.0%} of the pixels, "
                f"{_MIN_LOOP_INLIERS:.0%} are needed for a loop"
            )
    together = seen_together(between, ends[0], ends[1])
    if together < _MIN_SEEN_TOGETHER:
        return (
            f"the two ends see {together:.0%} of each other's surfaces, "
            f"{_MIN_SEEN_TOGETHER:.0%} are needed"
        )
    return None


def seen_together(scene: Reconstruction, some: Sequence[int], others: Sequence[int]) -> float:
    """Return the share of what some views see that at least one of the others sees there, too."""
    seen = total = 0
    for index in some:
        if scene.cameras[index] is None:
            continue
        points = _some_points(scene, index)
        found = torch.zeros(len(points), dtype=torch.bool)
        for other in others:
            if scene.cameras[other] is not None:
                found |= _sees(scene, other, points)
        seen, total = seen + int(found.sum()), total + len(found)
    return seen / total if total else 0.0


def _some_points(scene: Reconstruction, index: int) -> Float[Tensor, "points 3"]:
    chosen = scene.valid(index).flatten().nonzero()[:, 0]
    stride = -(-len(chosen) // _SAMPLE_POINTS) or 1
    return scene.points_at(index, chosen[::stride]).double()


def _sees(
    scene: Reconstruction, index: int, points: Float[Tensor, "points 3"]
) -> Bool[Tensor, " points"]:
    """Tell which points lie on the surface that a view sees."""
    camera, depth = scene.cameras[index], scene.depth[index]
    assert camera is not None
    pixels, distance = project(
        points,
        scene.network_intrinsics(index).double(),
        invert_rigid(camera.world_from_camera.double()),
    )
    height, width = depth.shape
    column, row = pixels.nan_to_num(-1).floor().clamp(-1, 1e6).long().unbind(-1)
    inside = (distance > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    there = depth[row.clamp(0, height - 1), column.clamp(0, width - 1)].double()
    return inside & ((there - distance).abs() < TOLERANCE * distance)
