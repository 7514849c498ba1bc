"""Where the camera of a picture stands: at one place from where all is seen, or on a path.

Every path is closed: a film of it can be played round and round.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.export.framing import Framing, look_at, standpoint
from fast3r.geometry.cameras import Camera, pinhole
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction

PathKind = Literal["auto", "orbit", "swing"]
"""How a camera moves: all the way around, or to and fro."""

_FIELD_OF_VIEW_DEG = 45.0
_MARGIN = 1.06
# Strays among points and cameras may stay outside the picture.
_SHARE_OF_POINTS = 0.985
_STRAY_CAMERA = 3.0
"""Times as far away as most cameras."""
_FITTED_PLACES = 24


def camera_at(world_from_camera: Float[Tensor, "4 4"], *, width: int, height: int) -> Camera:
    """Return the camera of a picture of that size."""
    focal_px = height / 2 / math.tan(math.radians(_FIELD_OF_VIEW_DEG) / 2)
    intrinsics = pinhole(torch.tensor(focal_px), height, width)
    return Camera(intrinsics, world_from_camera.float(), height, width)


def overview(
    scene: Reconstruction, cloud: PointCloud, frame: Framing, *, aspect: float
) -> Float[Tensor, "4 4"]:
    """Return the pose behind and above the cameras from where all is seen.

    Args:
        scene: Its cameras come into the picture, unless they are far astray.
        cloud: Nearly all of its points come into the picture.
        frame: Of both.
        aspect: Width over height of the picture.
    """
    heading = look_at(behind(scene, cloud, frame), frame.centre, frame.up)[:3, :3]
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = heading
    pose[:3, 3] = heading @ _fitting_place(to_be_seen(scene, cloud, frame) @ heading, aspect)
    return pose


def camera_path(
    scene: Reconstruction,
    cloud: PointCloud,
    frame: Framing,
    kind: PathKind = "auto",
    *,
    count: int,
    aspect: float,
) -> Float[Tensor, "count 4 4"]:
    """Return the poses of a closed path of `count` places.

    "auto" goes around where cameras stood on all sides, and swings to and fro where they did not:
    the other sides were never seen.

    Raises:
        ValueError: The path is unknown.
    """
    if kind == "auto":
        kind = "orbit" if _largest_gap_deg(scene, frame) < 180 else "swing"
    if kind == "orbit":
        turns = torch.arange(count, dtype=torch.float64) / count * 2 * math.pi
        return _around(scene, cloud, frame, turns, torch.zeros(count), aspect)
    if kind == "swing":
        phase = torch.arange(count, dtype=torch.float64) / count * 2 * math.pi
        half = math.radians(min(max((360 - _largest_gap_deg(scene, frame)) / 2, 20), 40))
        return _around(scene, cloud, frame, half * phase.sin(), 0.15 * phase.cos(), aspect)
    raise ValueError(f"path must be auto, orbit or swing, got {kind!r}")


def behind(scene: Reconstruction, cloud: PointCloud, frame: Framing) -> Float[Tensor, "3"]:
    """Return a place behind and above the cameras; only the direction from the centre counts."""
    return standpoint(scene, cloud, frame, field_of_view_deg=_FIELD_OF_VIEW_DEG, aspect=1.5)


def to_be_seen(
    scene: Reconstruction, cloud: PointCloud, frame: Framing
) -> Float[Tensor, "points 3"]:
    """Return what has to be in the picture: most of the points, and the cameras not astray."""
    places = torch.stack([c.world_from_camera[:3, 3].double() for _, _, c in scene.posed_views()])
    distance = (places - frame.centre).norm(dim=-1)
    near = distance <= _STRAY_CAMERA * distance.median()
    return torch.cat((_most_points(cloud, frame), places[near]))


def _most_points(cloud: PointCloud, frame: Framing) -> Float[Tensor, "points 3"]:
    points = cloud.points[:: 1 + len(cloud) // 20_000].double()
    distance = (points - frame.centre).norm(dim=-1)
    return points[distance <= distance.quantile(_SHARE_OF_POINTS)]


def _fitting_place(points: Float[Tensor, "points 3"], aspect: float) -> Float[Tensor, "3"]:
    """Return the place nearest to the points, looking along z, that has them all in the picture.

    A point (x, y, z) is right of the left edge where x - place.x > -(z - place.z) tangent, and so
    for each edge; left and right, or above and below, meet where the place is in the middle.
    """
    tangent = math.tan(math.radians(_FIELD_OF_VIEW_DEG) / 2) / _MARGIN
    tangents = torch.tensor([aspect * tangent, tangent], dtype=torch.float64)
    sideways, ahead = points[:, :2], points[:, 2:]
    high = (sideways - ahead * tangents).amax(dim=0)
    low = (sideways + ahead * tangents).amin(dim=0)
    back = ((high - low) / (2 * tangents)).amax()
    return torch.cat(((high + low) / 2, -back[None]))


def _around(
    scene: Reconstruction,
    cloud: PointCloud,
    frame: Framing,
    turn: Float[Tensor, " frames"],
    raise_by: Float[Tensor, " frames"],
    aspect: float,
) -> Float[Tensor, "frames 4 4"]:
    """Return poses around the scene, turned by these angles from behind the cameras, in radians.

    All are at the same distance from the same axis, so that nothing but the side changes.
    """
    start = behind(scene, cloud, frame) - frame.centre
    level = torch.nn.functional.normalize(start - (start @ frame.up) * frame.up, dim=0)
    left = torch.linalg.cross(frame.up, level)
    elevation = torch.atan2(start @ frame.up, start @ level) + raise_by.double()
    around = turn.cos()[:, None] * level + turn.sin()[:, None] * left
    directions = elevation.cos()[:, None] * around + elevation.sin()[:, None] * frame.up
    poses = torch.stack([look_at(d, torch.zeros_like(d), frame.up) for d in directions])
    seen = to_be_seen(scene, cloud, frame)
    centre = _middle(_most_points(cloud, frame), frame.up)
    some = poses[:: 1 + len(poses) // _FITTED_PLACES]
    local = torch.cat([(seen - centre) @ pose[:3, :3] for pose in some])
    poses[:, :3, 3] = centre + poses[:, :3, :3] @ _fitting_place(local, aspect)
    return poses


def _middle(points: Float[Tensor, "points 3"], up: Float[Tensor, "3"]) -> Float[Tensor, "3"]:
    """Return the middle of the upright box that holds points."""
    axes = torch.stack((*_level_axes(up), up), dim=1)
    low, high = (points @ axes).aminmax(dim=0)
    return axes @ ((low + high) / 2)


def _level_axes(up: Float[Tensor, "3"]) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Return two directions at right angles to each other and to the one upwards."""
    toward = torch.eye(3, dtype=torch.float64)[up.abs().argmin()]
    east = torch.nn.functional.normalize(torch.linalg.cross(up, toward), dim=0)
    return east, torch.linalg.cross(up, east)


def _largest_gap_deg(scene: Reconstruction, frame: Framing) -> float:
    """Return the largest angle, seen from above, into which no camera looks."""
    looks = torch.stack([c.world_from_camera[:3, 2].double() for _, _, c in scene.posed_views()])
    east, north = _level_axes(frame.up)
    azimuth = torch.atan2(looks @ north, looks @ east).sort().values
    gaps = torch.cat((azimuth.diff(), azimuth[:1] + 2 * math.pi - azimuth[-1:]))
    return math.degrees(gaps.max().item())
