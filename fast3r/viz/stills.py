"""Still pictures of a scene, made without display or graphics card."""

import math
from pathlib import Path

import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from fast3r.export.framing import Framing, framing, look_at, point_spacing, standpoint
from fast3r.export.glb import FRUSTUM_EDGES, frustum
from fast3r.geometry.cameras import Camera, pinhole
from fast3r.scene.point_cloud import PointCloud, random_points
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.colormaps import magma
from fast3r.viz.splatting import splat

_SUPERSAMPLING = 2
_FIELD_OF_VIEW_DEG = 45.0
_CAMERA_COLOR = torch.tensor([225, 80, 30], dtype=torch.uint8)
_BACKGROUND = torch.tensor([246, 246, 244], dtype=torch.uint8)
_LINE_STEPS = torch.linspace(0, 1, 300, dtype=torch.float64)[:, None]
_LINE_WIDTH_PX = 1.5
# More could hardly be told apart in a picture, and take a second per 300,000.
_MAX_POINTS = 2_000_000


def render_still(
    scene: Reconstruction,
    *,
    width: int = 1200,
    height: int = 800,
    world_from_camera: Float[Tensor, "4 4"] | None = None,
    cloud: PointCloud | None = None,
) -> Image.Image:
    """Return a picture of the points and the cameras on a light background.

    Points seen from behind are left out, as the near walls of a doll's house.

    Args:
        scene: What to draw.
        width: Of the picture in pixels.
        height: Of the picture in pixels.
        world_from_camera: Where to stand; without it behind and above the cameras, looking at
            the middle of the points.
        cloud: The points to draw; without it those of `scene.point_cloud()`.

    Raises:
        ValueError: No view has a camera, or the cloud is empty.
    """
    cloud = random_points(scene.point_cloud() if cloud is None else cloud, _MAX_POINTS)
    frame = framing(scene, cloud)
    if world_from_camera is None:
        world_from_camera = _overview(scene, cloud, frame, aspect=width / height)
    camera = _still_camera(width * _SUPERSAMPLING, height * _SUPERSAMPLING, world_from_camera)
    diameters = 1.5 * point_spacing(scene, cloud)
    front = _seen_from_the_front(scene, cloud, camera).nonzero()[:, 0]
    cloud, diameters = cloud.take(front), diameters[front]
    lines = _frustum_lines(scene, frame.frustum_depth)
    colors = torch.cat((cloud.colors, _CAMERA_COLOR.expand(len(lines), 3)))
    distances = (lines - camera.world_from_camera[:3, 3]).norm(dim=-1)
    line_width = _LINE_WIDTH_PX * _SUPERSAMPLING / camera.intrinsics[0, 0] * distances
    diameters = torch.cat((diameters, line_width))
    picture, depth = splat(torch.cat((cloud.points, lines)), colors, camera, diameters=diameters)
    shaded = picture.float() * _eye_dome_shade(depth)[..., None]
    shown = torch.where(depth.isfinite()[..., None], shaded, _BACKGROUND.float())
    image = Image.fromarray(shown.round().to(torch.uint8).numpy())
    return image.resize((width, height), Image.Resampling.BOX)


def write_still(scene: Reconstruction, path: Path, *, cloud: PointCloud | None = None) -> None:
    """Write `render_still` as an image file; its suffix tells the format."""
    render_still(scene, cloud=cloud).save(path)


def depth_strip(scene: Reconstruction, *, max_views: int = 8, height: int = 160) -> Image.Image:
    """Return a sheet with a row for each registered view: photo, depth and confidence.

    Near and sure are bright; colours mean the same in all rows; grey is no depth.

    Args:
        scene: What to show.
        max_views: Where there are more, these many are taken evenly.
        height: Of a row in pixels.

    Raises:
        ValueError: No view has a camera.
    """
    posed = scene.posed_views()
    step = max(len(posed) / max_views, 1)
    chosen = [posed[int(k * step)][0] for k in range(min(len(posed), max_views))]
    valid = [scene.valid(i) for i in chosen]
    nearness = [1 / scene.depth[i].float() for i in chosen]
    sureness = [scene.confidence[i].float().log() for i in chosen]
    photos = [scene.colors(i) for i in chosen]
    columns = [photos, _colored(nearness, valid), _colored(sureness, valid)]
    rows = [_row([column[k] for column in columns], height) for k in range(len(chosen))]
    background = tuple(_BACKGROUND.tolist())
    size = (max(row.width for row in rows), sum(row.height for row in rows))
    sheet = Image.new("RGB", size, background)
    for k, row in enumerate(rows):
        sheet.paste(row, (0, k * height))
    return sheet


def _overview(
    scene: Reconstruction, cloud: PointCloud, frame: Framing, *, aspect: float
) -> Float[Tensor, "4 4"]:
    position = standpoint(scene, cloud, frame, field_of_view_deg=_FIELD_OF_VIEW_DEG, aspect=aspect)
    return look_at(position, frame.centre, frame.up)


def _still_camera(width: int, height: int, world_from_camera: Float[Tensor, "4 4"]) -> Camera:
    focal_px = height / 2 / math.tan(math.radians(_FIELD_OF_VIEW_DEG) / 2)
    intrinsics = pinhole(torch.tensor(focal_px), height, width)
    return Camera(intrinsics, world_from_camera.float(), height, width)


def _seen_from_the_front(
    scene: Reconstruction, cloud: PointCloud, camera: Camera
) -> Bool[Tensor, " points"]:
    """Return which points face the camera: those whose own camera was on the same side."""
    centres = torch.zeros(len(scene.views), 3)
    for i, _, posed in scene.posed_views():
        centres[i] = posed.world_from_camera[:3, 3]
    own_look = cloud.points - centres[cloud.view_index]
    return (own_look * (cloud.points - camera.world_from_camera[:3, 3])).sum(dim=-1) > 0


def _frustum_lines(scene: Reconstruction, depth: float) -> Float[Tensor, "points 3"]:
    edges = [frustum(camera, depth)[FRUSTUM_EDGES] for _, _, camera in scene.posed_views()]
    start, end = torch.cat(edges).unflatten(0, (-1, 2)).unbind(dim=1)
    return torch.lerp(start[:, None], end[:, None], _LINE_STEPS).flatten(0, 1).float()


def _eye_dome_shade(depth: Float[Tensor, "height width"]) -> Float[Tensor, "height width"]:
    """Return how bright each pixel stays: less where its surroundings are nearer.

    Outlines and folds show this way without normals or light (Boucheny, 2009).
    """
    log_depth = depth.log2()
    darker = torch.zeros_like(depth)
    reach = _SUPERSAMPLING
    for axis in (0, 1):
        for shift in (-reach, reach):
            # Pixels that wrap around the border do no harm that the eye could see.
            ahead = log_depth - log_depth.roll(shift, dims=axis)
            darker += ahead.nan_to_num(0, 0, 0).clamp(min=0, max=0.1)
    return torch.exp(-4 * darker)


def _colored(
    levels: list[Float[Tensor, "_height _width"]], valid: list[Bool[Tensor, "_height _width"]]
) -> list[UInt8[Tensor, "_height _width 3"]]:
    """Return pictures in which the middle 96 % of all levels span the colours."""
    known = torch.cat([x[ok] for x, ok in zip(levels, valid, strict=True)])
    known = known[:: 1 + len(known) // 1_000_000]
    low, high = known.quantile(torch.tensor([0.02, 0.98])) if len(known) else (0.0, 1.0)
    span = max(float(high - low), 1e-12)
    grey = torch.full((3,), 200, dtype=torch.uint8)
    pictures = [magma((x - low) / span) for x in levels]
    return [p.where(ok[..., None], grey) for p, ok in zip(pictures, valid, strict=True)]


def _row(pictures: list[UInt8[Tensor, "_height _width 3"]], height: int) -> Image.Image:
    """Return pictures of one size side by side, scaled to a height."""
    image = Image.fromarray(torch.cat(pictures, dim=1).numpy())
    return image.resize((round(image.width * height / image.height), height))
