"""What distances, depth maps and rigs say of the scale of a scene."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import rays_through
from fast3r.geometry.lenses import ideal_from_photo
from fast3r.geometry.robust import weighted_median
from fast3r.scene.priors.binding import BoundDistance, BoundPriors, BoundRig
from fast3r.scene.priors.depth_maps import depth_at
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.scales import ScaleVote
from fast3r.scene.reconstruction import Reconstruction

_SCENE_ERROR = 0.04
"""Standard deviation of lengths in a scene relative to each other. Within one pass the released
networks bend a room by a few percent."""

_MIN_PIXELS = 50
_Votes = tuple[list[ScaleVote], list[PriorCheck]]


def scale_votes(scene: Reconstruction, known: BoundPriors) -> _Votes:
    """Return the votes for metres per unit of the scene, and what could not vote."""
    parts: Sequence[_Votes] = (
        _of_distances(scene, known.distances),
        _of_depth(scene, known),
        _of_rigs(scene, known.rigs),
    )
    return [v for votes, _ in parts for v in votes], [c for _, unused in parts for c in unused]


def rig_unit(scene: Reconstruction, rig: BoundRig) -> list[float]:
    """Return scene units per unit of a rig, for each pair of its cameras with a place."""
    ratios = []
    for frame in rig.frames:
        members = [(key, i) for key, i in frame.items() if scene.cameras[i] is not None]
        for place, (first, i) in enumerate(members):
            for second, j in members[place + 1 :]:
                apart = rig.rig_from_camera[first][:3, 3] - rig.rig_from_camera[second][:3, 3]
                found = _centre(scene, i) - _centre(scene, j)
                ratio = (found.norm() / apart.norm()).item()
                if math.isfinite(ratio) and ratio > 0:
                    ratios.append(ratio)
    return ratios


def _of_distances(scene: Reconstruction, distances: Sequence[BoundDistance]) -> _Votes:
    votes, unused = [], []
    for distance in distances:
        try:
            first, second = (_point(scene, *end) for end in distance.ends)
        except _NoPointError as error:
            unused.append(PriorCheck(distance.name, "unused", note=str(error)))
            continue
        length = (first - second).norm().item()
        if length == 0:
            unused.append(PriorCheck(distance.name, "unused", note="it is 0 in the scene"))
            continue
        sigma = math.hypot(distance.relative_error, _SCENE_ERROR)
        vote = ScaleVote(distance.name, "distances", math.log(distance.metres / length), sigma)
        votes.append(vote)
    return votes, unused


class _NoPointError(Exception):
    """An end of a distance has no place in the scene; the message says why."""


def _point(
    scene: Reconstruction, index: int, pixel: tuple[float, float] | None
) -> Float[Tensor, " 3"]:
    """Return a point of the surface, or the centre of a camera, in float64."""
    camera, view = scene.cameras[index], scene.views[index]
    if camera is None:
        raise _NoPointError(f"{view.name} has no camera ({scene.failures[index]})")
    if pixel is None:
        return _centre(scene, index)
    ideal = ideal_from_photo(torch.tensor([pixel], dtype=torch.float64), view.lens)
    affine = view.original_from_network.double().inverse()
    network = (ideal @ affine[:2, :2].mT + affine[:2, 2])[0]
    depth = _depth_near(scene, index, network) if network.isfinite().all() else None
    if depth is None:
        raise _NoPointError(f"({pixel[0]:g}, {pixel[1]:g}) in {view.name} has no depth")
    point = rays_through(ideal, camera.intrinsics.double())[0] * depth
    pose = camera.world_from_camera.double()
    return pose[:3, :3] @ point + pose[:3, 3]


def _depth_near(
    scene: Reconstruction, index: int, network: Float[Tensor, " 2"]
) -> Float[Tensor, ""] | None:
    """Return the depth between the four pixels around a position; None where all have none."""
    depth, valid = scene.depth[index].double(), scene.valid(index)
    height, width = depth.shape
    x, y = (network - 0.5).tolist()
    left, top = math.floor(x), math.floor(y)
    total, share = torch.zeros((), dtype=torch.float64), 0.0
    for column, across in ((left, left + 1 - x), (left + 1, x - left)):
        for row, along in ((top, top + 1 - y), (top + 1, y - top)):
            r, c = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
            if valid[r, c]:
                total = total + across * along * depth[r, c]
                share += across * along
    beside = not (-1 <= x <= width and -1 <= y <= height)
    return None if share == 0 or beside else total / share


def _of_depth(scene: Reconstruction, known: BoundPriors) -> _Votes:
    votes, unused = [], []
    for index, measured in known.depth.items():
        name = f"depth map of {scene.views[index].name}"
        if scene.cameras[index] is None:
            note = f"the view has no camera ({scene.failures[index]})"
            unused.append(PriorCheck(name, "unused", note=note))
            continue
        ratio = _log_ratio(scene, index, measured)
        if ratio is None:
            note = f"fewer than {_MIN_PIXELS} of its pixels are where the scene has depth"
            unused.append(PriorCheck(name, "unused", note=note))
            continue
        assert known.priors.depth is not None
        sigma = math.hypot(known.priors.depth.relative_error, _SCENE_ERROR)
        votes.append(ScaleVote(name, "depth maps", ratio, sigma))
    return votes, unused


def _log_ratio(
    scene: Reconstruction, index: int, measured: Float[Tensor, "rows columns"]
) -> float | None:
    """Return the median logarithm of measured over found depth, weighted by confidence."""
    depth = scene.depth[index].flatten().double()
    pixels = scene.valid(index).flatten().nonzero()[:, 0]
    original = scene.original_pixels(index, pixels)
    ratio = (depth_at(measured, scene.views[index], original) / depth[pixels]).log()
    known = ratio.isfinite()
    if known.sum() < _MIN_PIXELS:
        return None
    confidence = scene.confidence[index].flatten()[pixels].to(ratio)
    return weighted_median(ratio[known], confidence[known]).item()


def _of_rigs(scene: Reconstruction, rigs: Sequence[BoundRig]) -> _Votes:
    votes, unused = [], []
    for rig in rigs:
        if not rig.metric:
            continue
        name = f"baselines of {rig.name}"
        logs = torch.tensor(rig_unit(scene, rig), dtype=torch.float64).log()
        if len(logs) == 0:
            note = "no frame has two cameras with a place"
            unused.append(PriorCheck(name, "unused", note=note))
            continue
        middle = logs.median()
        spread = 1.4826 * (logs - middle).abs().median().item() / math.sqrt(len(logs))
        # One pair does not tell how well the scene knows so short a length.
        floor = 0.1 if len(logs) < 3 else _SCENE_ERROR
        votes.append(ScaleVote(name, "rigs", -middle.item(), max(spread, floor)))
    return votes, unused


def _centre(scene: Reconstruction, index: int) -> Float[Tensor, " 3"]:
    camera = scene.cameras[index]
    assert camera is not None
    return camera.world_from_camera[:3, 3].double()
