"""Where to stand to look at a scene: its up direction, its middle, and sizes that suit it."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.scene.point_cloud import Cloud, PointCloud, evenly_thinned
from fast3r.scene.reconstruction import Reconstruction


@dataclass(frozen=True)
class Framing:
    """How a scene lies in its world, in float64."""

    up: Float[Tensor, "3"]
    """Unit vector against gravity, as far as the cameras tell."""

    centre: Float[Tensor, "3"]
    """Middle of the points; far outliers do not move it."""

    radius: float
    """Most of the points lie nearer to the centre than this, in world units."""

    frustum_depth: float
    """A length for drawn cameras that neither hides the scene nor vanishes, in world units."""


def framing(scene: Reconstruction, cloud: Cloud) -> Framing:
    """Return how to look at a scene and the points drawn of it.

    Raises:
        ValueError: No view has a camera, or the cloud is empty.
    """
    poses = torch.stack([camera.world_from_camera.double() for _, _, camera in scene.posed_views()])
    # A few thousand points give the medians to better than a percent.
    sample = evenly_thinned(cloud, 20_000).points.double()
    if len(sample) == 0:
        raise ValueError("no point is left to draw; lower min_confidence or min_conf_percentile")
    centre = sample.median(dim=0).values
    radius = torch.linalg.vector_norm(sample - centre, dim=-1).quantile(0.9).clamp(min=1e-9).item()
    return Framing(_up(poses), centre, radius, _frustum_depth(poses[:, :3, 3], radius))


def look_at(
    position: Float[Tensor, "3"], target: Float[Tensor, "3"], up: Float[Tensor, "3"]
) -> Float[Tensor, "4 4"]:
    """Return `world_from_camera` of a camera that looks from a position at a target."""
    forward = torch.nn.functional.normalize(target - position, dim=0)
    right = torch.linalg.cross(forward, up)
    if right.norm() < 1e-6:  # Straight down or up, where every heading is as good.
        right = torch.linalg.cross(forward, torch.eye(3).to(up)[forward.abs().argmin()])
    right = torch.nn.functional.normalize(right, dim=0)
    pose = torch.eye(4, dtype=position.dtype)
    pose[:3, :3] = torch.stack((right, torch.linalg.cross(forward, right), forward), dim=-1)
    pose[:3, 3] = position
    return pose


def standpoint(
    scene: Reconstruction,
    cloud: PointCloud,
    frame: Framing,
    *,
    field_of_view_deg: float,
    aspect: float,
) -> Float[Tensor, "3"]:
    """Return a place behind and above the cameras from where the whole scene is seen.

    Args:
        scene: Its cameras all come into the picture.
        cloud: Nearly all of its points come into the picture.
        frame: From `framing`; the look is at its centre.
        field_of_view_deg: Of the picture, from its upper to its lower edge.
        aspect: Width over height of the picture.
    """
    poses = torch.stack([c.world_from_camera.double() for _, _, c in scene.posed_views()])
    direction = _direction_back(poses, frame.up)
    pose = look_at(frame.centre + direction, frame.centre, frame.up)
    tangent = math.tan(math.radians(field_of_view_deg) / 2)
    half_extent = torch.tensor([aspect * tangent, tangent], dtype=torch.float64)

    def least_distance(points: Tensor) -> Tensor:
        # From distance t a point appears at sideways / (t - toward); within the picture that is
        # less than the half extent.
        relative = points - frame.centre
        sideways = (relative @ pose[:3, :2]).abs() / half_extent
        return sideways.amax(dim=-1) + relative @ direction

    points = cloud.points[:: 1 + len(cloud) // 20_000].double()
    distance = max(least_distance(points).quantile(0.99), least_distance(poses[:, :3, 3]).max())
    return frame.centre + 1.05 * distance * direction


def point_spacing(scene: Reconstruction, cloud: PointCloud) -> Float[Tensor, " points"]:
    """Return about how far each point of a cloud lies from the next ones, in world units.

    That is the width of its pixel at its distance, more where its view was thinned. The figure
    is that of one view, so that discs of this size leave no holes where only one saw a surface.
    """
    drawn = cloud.view_index.bincount(minlength=len(scene.views)).clamp(min=1)
    centres, pixel_widths = torch.zeros(len(drawn), 3), torch.zeros(len(drawn))
    for i, _, camera in scene.posed_views():
        thinning = max(scene.valid(i).sum().item() / drawn[i].item(), 1.0)
        centres[i] = camera.world_from_camera[:3, 3]
        pixel_widths[i] = math.sqrt(thinning) / scene.network_focal_px(i)
    distance = (cloud.points - centres[cloud.view_index]).norm(dim=-1)
    return distance * pixel_widths[cloud.view_index]


def _direction_back(poses: Float[Tensor, "views 4 4"], up: Float[Tensor, "3"]) -> Tensor:
    """Return the direction, half raised, opposite to where most cameras look."""
    back = -poses[:, :3, 2].mean(dim=0)
    if back.norm() < 0.3:  # Cameras that look all around: stand behind the first.
        back = -poses[0, :3, 2]
    level = back - (back @ up) * up
    if level.norm() < 0.1:  # Cameras that look straight down: raise their upper edge.
        level = poses[0, :3, 1] - (poses[0, :3, 1] @ up) * up
    level = torch.nn.functional.normalize(level, dim=0)
    return torch.nn.functional.normalize(level + 0.5 * up, dim=0)


def _up(poses: Float[Tensor, "views 4 4"]) -> Float[Tensor, "3"]:
    """Return the direction at right angles to what the photographer held level.

    Photos are tilted up and down but seldom rolled, so the x axes of upright photos lie in the
    ground plane. Where the cameras do not turn enough to span it, or photos lie on their side,
    the mean of the axes that point up in the photos has to do.
    """
    mean = -poses[:, :3, 1].mean(dim=0)
    if mean.norm() < 0.1:  # Photos on opposite sides: trust the first.
        mean = -poses[0, :3, 1]
    mean = torch.nn.functional.normalize(mean, dim=0)
    spread, axes = torch.linalg.eigh(poses[:, :3, 0].mT @ poses[:, :3, 0] / len(poses))
    normal = axes[:, 0] * torch.sign(axes[:, 0] @ mean)
    spans_plane = spread[1] > 0.05 and spread[0] < 0.2 * spread[1]
    agrees = normal @ mean > 0.5
    return normal if spans_plane and agrees else mean


def _frustum_depth(centres: Float[Tensor, "views 3"], radius: float) -> float:
    if len(centres) == 1:
        return 0.08 * radius
    gaps = torch.cdist(centres, centres).fill_diagonal_(torch.inf).min(dim=1).values
    return min(max(0.6 * gaps.median().item(), 0.02 * radius), 0.08 * radius)
