"""The plane that a scene stands on."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fast3r.geometry.robust import geman_mcclure_weight
from fast3r.scene.reconstruction import Reconstruction

MAX_TILT_DEG = 45.0
"""Planes that are turned further away from level are not looked at."""

# Of the median distance between a point and the camera that saw it.
_THICKNESS = 0.02
_MIN_GAIN = 0.1
_POINTS = 4096
_TRIPLES = 2048
_STEPS = 10
_SCALE_DEVIATIONS = 3.0
# The absolute value of an error of standard deviation 1 has this median.
_MEDIAN_LENGTH = 0.6745


@dataclass(frozen=True)
class GroundPlane:
    """The plane that most points lie on, of those that the cameras stand above."""

    normal: Float[Tensor, " 3"]
    """Unit vector that points up; in float64."""

    below_cameras: Float[Tensor, " 3"]
    """The point of the plane below the middle of the cameras."""

    share: float
    """Share of the scene's points that lie on it, to a fiftieth of their usual depth."""


def ground_plane(scene: Reconstruction, *, seed: int = 0) -> GroundPlane:
    """Return the ground of a scene whose z axis points up, roughly.

    The best of 2048 planes through three points each (RANSAC), refined on the points near it. What
    lies in as thick a layer right below counts against a plane: a cut through a wall has as much
    there.

    Raises:
        ValueError: No plane holds a tenth of the points more than the layer below it.
    """
    points = scene.point_cloud(max_points=_POINTS, seed=seed).points.double()
    centres = torch.stack([c.world_from_camera[:3, 3] for _, _, c in scene.posed_views()]).double()
    thickness = _THICKNESS * _usual_depth(scene)
    normals, offsets = _candidates(points, seed)
    allowed = normals[:, 2] > math.cos(math.radians(MAX_TILT_DEG))
    allowed &= (centres @ normals.mT - offsets > 0).double().mean(dim=0) > 0.5
    best = _gain(points @ normals.mT - offsets, thickness).where(allowed, -1).argmax()
    normal, offset = _refined(points, normals[best], offsets[best], thickness)
    height = points @ normal - offset
    gain = _gain(height, thickness).item() if allowed[best] else 0.0
    if gain < _MIN_GAIN:
        raise ValueError(
            f"there is no ground: no plane below the cameras holds {_MIN_GAIN:.0%} of the points "
            f"more than the layer below it, the best {gain:.0%}; photos that were taken upright "
            "tell the vertical too (up upright)"
        )
    middle = centres.mean(dim=0)
    share = (height.abs() < thickness).double().mean().item()
    return GroundPlane(normal, middle - (middle @ normal - offset) * normal, share)


def _candidates(
    points: Float[Tensor, "points 3"], seed: int
) -> tuple[Float[Tensor, "planes 3"], Float[Tensor, " planes"]]:
    """Return normals that point up, and offsets along them, of planes through three points."""
    generator = torch.Generator().manual_seed(seed)
    corners = points[torch.randint(len(points), (_TRIPLES, 3), generator=generator)]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = normalize(normals, dim=-1)
    normals = normals * normals[:, 2:].sign()
    return normals, (normals * corners[:, 0]).sum(dim=-1)


def _gain(height: Float[Tensor, " points *planes"], thickness: float) -> Float[Tensor, "*planes"]:
    """Return the share of points on planes, less that in the layer right below."""
    on_it = (height.abs() < thickness).double().mean(dim=0)
    below = ((height <= -thickness) & (height > -3 * thickness)).double().mean(dim=0)
    return on_it - below


def _refined(
    points: Float[Tensor, "points 3"],
    normal: Float[Tensor, " 3"],
    offset: Float[Tensor, ""],
    thickness: float,
) -> tuple[Float[Tensor, " 3"], Float[Tensor, ""]]:
    """Return the plane of reweighted least squares through the points near it."""
    for _ in range(_STEPS):
        height = (points @ normal - offset).abs()
        noise = height[height < thickness].median() / _MEDIAN_LENGTH
        scale = (_SCALE_DEVIATIONS * noise).clamp(min=1e-6 * thickness, max=thickness)
        weight = geman_mcclure_weight(height.square(), scale[None])[:, None]
        middle = (weight * points).sum(dim=0) / weight.sum()
        centred = points - middle
        _, axes = torch.linalg.eigh((weight * centred).mT @ centred)
        normal = axes[:, 0] * (axes[:, 0] @ normal).sign()
        offset = middle @ normal
    return normal, offset


def _usual_depth(scene: Reconstruction) -> float:
    seen = [scene.depth[i][scene.valid(i)] for i in scene.registered]
    return torch.cat(seen).median().item()
