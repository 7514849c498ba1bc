"""A scene made ready to be drawn from many places: its points as discs, its cameras as lines."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from fast3r.export.framing import Framing, framing, point_spacing
from fast3r.export.glb import FRUSTUM_EDGES, frustum
from fast3r.geometry.cameras import Camera, invert_rigid, pixels_through, project
from fast3r.geometry.lenses import ideal_from_photo
from fast3r.scene.point_cloud import Cloud, PointCloud, random_points
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.coloring import ColorBy, Legend, coloring
from fast3r.viz.lettering import BACKGROUND
from fast3r.viz.splatting import splat

CAMERA_COLOR = (225, 80, 30)
_SUPERSAMPLING = 2
_SIDES_PX = (16, 8192)
_LINE_WIDTH_PX = 1.2
_MAX_LINE_STEPS = 400
# More could hardly be told apart in a picture.
MAX_POINTS = 2_000_000
# A surface seen at a slant is filled up to here; beyond, discs would be wider than what they show.
_MAX_STRETCH = 4.0
_DISC_PER_SPACING = 1.5
# Photos agree on a surface to a few percent of its distance; that is no outline.
_NO_STEP = 0.03


@dataclass(frozen=True)
class Drawing:
    """What `draw` puts into a picture."""

    cloud: PointCloud
    """The points."""

    frame: Framing
    """How they lie."""

    colors: UInt8[Tensor, "points 3"]
    """Of the discs."""

    diameters: Float[Tensor, " points"]
    """Of the discs, in world units."""

    seen_from: Float[Tensor, "points 3"]
    """The place of the camera that saw each point."""

    edges: Float[Tensor, "edges 2 3"]
    """Both ends of each line."""

    legend: Legend | None
    """What the colours mean, where they need words."""


def check_size(width: int, height: int) -> None:
    """Make sure that a picture can have this size.

    Raises:
        ValueError: A side is too short or too long.
    """
    if not (_SIDES_PX[0] <= min(width, height) and max(width, height) <= _SIDES_PX[1]):
        raise ValueError(
            f"sides of a picture must lie in [{_SIDES_PX[0]}, {_SIDES_PX[1]}] px, "
            f"got {width}x{height}"
        )


def prepare(
    scene: Reconstruction,
    cloud: Cloud | None = None,
    *,
    color_by: ColorBy = "photo",
    point_size: float = 1.0,
    show_cameras: bool = True,
) -> Drawing:
    """Return a scene ready to be drawn.

    Args:
        scene: What to draw.
        cloud: Its points; without it those of `scene.point_cloud()`.
        color_by: What the colours of the points tell.
        point_size: Makes the discs larger or smaller; 1 just leaves no holes.
        show_cameras: Whether to draw them.

    Raises:
        ValueError: No view has a camera, the cloud is empty, or an option is out of range.
    """
    if not 0 < point_size < math.inf:
        raise ValueError(f"point_size must be positive, got {point_size}")
    cloud = random_points(scene.view_clouds() if cloud is None else cloud, MAX_POINTS)
    frame = framing(scene, cloud)
    painted = coloring(scene, cloud, frame, color_by)
    places = torch.zeros(len(scene.views), 3)
    for i, _, camera in scene.posed_views():
        places[i] = camera.world_from_camera[:3, 3]
    lines = _frustum_edges(scene, frame.frustum_depth) if show_cameras else torch.zeros(0, 2, 3)
    return Drawing(
        cloud=cloud,
        frame=frame,
        colors=painted.colors,
        diameters=point_size * _diameters(scene, cloud),
        seen_from=places[cloud.view_index],
        edges=lines,
        legend=painted.legend,
    )


def draw(drawing: Drawing, camera: Camera) -> Image.Image:
    """Return the picture that a camera takes, on a light background.

    Points seen from behind are left out, as the near walls of a doll's house.
    """
    fine = _enlarged(camera, _SUPERSAMPLING)
    points, place = drawing.cloud.points, fine.world_from_camera[:3, 3]
    own_look = points - drawing.seen_from
    facing = ((own_look * (points - place)).sum(dim=-1) > 0).nonzero()[:, 0]
    colors, diameters = drawing.colors[facing], drawing.diameters[facing]
    picture, depth = splat(points[facing], colors, fine, diameters=diameters)
    picture, depth = _with_lines(drawing.edges, fine, picture, depth)
    shaded = picture.float() * _eye_dome_shade(depth)[..., None]
    ground = torch.tensor(BACKGROUND, dtype=torch.float32)
    shown = torch.where(depth.isfinite()[..., None], shaded, ground)
    return Image.fromarray(_coarse(shown).round().to(torch.uint8).numpy())


def _coarse(fine: Float[Tensor, "rows columns 3"]) -> Float[Tensor, "height width 3"]:
    """Return the mean of each block of fine pixels."""
    steps = [(y, x) for y in range(_SUPERSAMPLING) for x in range(_SUPERSAMPLING)]
    parts = [fine[y::_SUPERSAMPLING, x::_SUPERSAMPLING] for y, x in steps]
    return sum(parts[1:], start=parts[0]) / len(parts)


def _enlarged(camera: Camera, factor: int) -> Camera:
    intrinsics = camera.intrinsics.float().clone()
    intrinsics[:2] *= factor
    pose = camera.world_from_camera.float()
    return Camera(intrinsics, pose, factor * camera.height, factor * camera.width)


def _diameters(scene: Reconstruction, cloud: PointCloud) -> Float[Tensor, " points"]:
    """Return how wide each disc must be to reach its neighbours, also on slanted surfaces."""
    slope = torch.zeros(len(cloud))
    for i, view, _ in scene.posed_views():
        members = (cloud.view_index == i).nonzero()[:, 0]
        pixel = ideal_from_photo(cloud.pixel[members].double(), view.lens)
        pixel = pixels_through(view.network_from_original, pixel)
        column, row = pixel.floor().long().unbind(-1)
        slant = scene.slant_deg(i)[row.clamp(0, view.height - 1), column.clamp(0, view.width - 1)]
        slope[members] = slant.float().deg2rad().tan()
    stretch = (1 + slope**2).sqrt().clamp(max=_MAX_STRETCH)
    return _DISC_PER_SPACING * point_spacing(scene, cloud) * stretch


def _frustum_edges(scene: Reconstruction, depth: float) -> Float[Tensor, "edges 2 3"]:
    corners = [frustum(camera, depth)[FRUSTUM_EDGES] for _, _, camera in scene.posed_views()]
    return torch.cat(corners).float().unflatten(0, (-1, 2))


def _with_lines(
    edges: Float[Tensor, "edges 2 3"],
    camera: Camera,
    picture: UInt8[Tensor, "height width 3"],
    depth: Float[Tensor, "height width"],
) -> tuple[UInt8[Tensor, "height width 3"], Float[Tensor, "height width"]]:
    """Return the picture and its depth with lines where they are nearer."""
    lines = _line_points(edges, camera)
    if len(lines) == 0:
        return picture, depth
    orange = torch.tensor(CAMERA_COLOR, dtype=torch.uint8).expand(len(lines), 3)
    width = _LINE_WIDTH_PX * _SUPERSAMPLING / camera.intrinsics[0, 0]
    distance = (lines - camera.world_from_camera[:3, 3]).norm(dim=1)
    drawn, nearness = splat(lines, orange, camera, diameters=width * distance, max_radius_px=2)
    ahead = nearness < depth
    return drawn.where(ahead[..., None], picture), nearness.where(ahead, depth)


def _line_points(edges: Float[Tensor, "edges 2 3"], camera: Camera) -> Float[Tensor, "points 3"]:
    """Return points so close to each other that the camera sees lines."""
    camera_from_world = invert_rigid(camera.world_from_camera)
    pixels, depth = project(edges.flatten(0, 1), camera.intrinsics, camera_from_world)
    ends, ahead = pixels.unflatten(0, (-1, 2)), (depth.unflatten(0, (-1, 2)) > 0).all(dim=1)
    lengths = (ends[:, 0] - ends[:, 1]).norm(dim=-1)[ahead]
    longest = lengths.max().item() if len(lengths) else 0.0
    # The points on a line that recedes lie further apart at its near end: twice as many.
    steps = torch.linspace(0, 1, int(min(2 * longest + 2, _MAX_LINE_STEPS)))[:, None]
    start, end = edges[ahead].unbind(dim=1)
    return torch.lerp(start[:, None], end[:, None], steps).flatten(0, 1)


def _eye_dome_shade(depth: Float[Tensor, "height width"]) -> Float[Tensor, "height width"]:
    """Return how bright each pixel stays: less where its surroundings are nearer.

    Outlines and folds show this way without normals or light (Boucheny, 2009).
    """
    log_depth = depth.log2().nan_to_num(posinf=1e4)
    darker = torch.zeros_like(depth)
    for axis in (0, 1):
        reach = min(_SUPERSAMPLING, depth.shape[axis])
        inner = depth.shape[axis] - reach
        ahead = log_depth.narrow(axis, reach, inner) - log_depth.narrow(axis, 0, inner)
        darker.narrow(axis, reach, inner).add_((ahead - _NO_STEP).clamp(0, 0.1))
        darker.narrow(axis, 0, inner).add_((-ahead - _NO_STEP).clamp(0, 0.1))
    return torch.exp(-4 * darker)
