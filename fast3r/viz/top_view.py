"""A map of a scene from above: where its points lie, and where each photo was taken."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from fast3r.export.glb import FRUSTUM_EDGES, frustum
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.camera_paths import behind, to_be_seen
from fast3r.viz.coloring import ColorBy
from fast3r.viz.drawing import CAMERA_COLOR, Drawing, check_size, prepare
from fast3r.viz.lettering import BACKGROUND, TEXT_COLOR, add_legend, font, plain

_MARGIN_PX = 36
_NAMES_WIDTH_PX = 210
_NAME_LETTERS = 26
_LINE_PX = 16
_FONT_PX = 12
_LEAST_FRUSTUM_PX = 16.0
_FINE = 3
"""Lines are drawn so many times larger, and made smaller for smooth edges."""


@dataclass(frozen=True)
class TopView:
    """A map, and where the world is on it."""

    picture: Image.Image
    """The map."""

    map_from_world: Float[Tensor, "2 4"]
    """Pixels (x, y) of the map from homogeneous points of the world."""

    def place(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points 2"]:
        """Return where points of the world are on the map, in pixels."""
        return _placed(points, self.map_from_world)


def render_top_view(
    scene: Reconstruction,
    *,
    width: int = 960,
    height: int = 720,
    cloud: PointCloud | None = None,
    color_by: ColorBy = "photo",
) -> TopView:
    """Return a map of the points and cameras, seen straight from above, in parallel projection.

    Upwards on the map is where most cameras look. Cameras are numbered as the views of the scene
    are, from 1; their names stand beside the map where there is room for all. Points are the more
    opaque the more lie on top of each other. Where views have no camera the map says how many
    have one.

    Args:
        scene: What to draw.
        width: Of the picture in pixels.
        height: Of the picture in pixels.
        cloud: The points to draw; without it those of `scene.point_cloud()`.
        color_by: What the colours of the points tell.

    Raises:
        ValueError: No view has a camera, the cloud is empty, or an option is out of range.
    """
    check_size(width, height)
    drawing = prepare(scene, cloud, color_by=color_by)
    names = _names(scene, width, height)
    map_width = width - (_NAMES_WIDTH_PX if names else 0)
    projection = _projection(scene, drawing, map_width, height)
    ground = _density(drawing, projection, map_width, height)
    picture = Image.new("RGB", (width, height), BACKGROUND)
    picture.paste(_with_cameras(scene, drawing, ground, projection))
    pen = ImageDraw.Draw(picture)
    _write_numbers(pen, scene, projection, (map_width, height))
    for row, name in enumerate(names):
        at = (map_width + 8, _MARGIN_PX + row * _LINE_PX)
        pen.text(at, name, fill=TEXT_COLOR, font=font(_FONT_PX), anchor="lm")
    if len(scene.registered) < len(scene.views):
        shown = f"{len(scene.registered)} of {len(scene.views)} photos"
        pen.text((16, 16), shown, fill=TEXT_COLOR, font=font(_FONT_PX), anchor="lm")
    _write_scale(pen, scene, projection, map_width, height)
    return TopView(add_legend(picture, drawing.legend), projection)


def _names(scene: Reconstruction, width: int, height: int) -> list[str]:
    """Return the lines of the list of names; none where there is no room for all."""
    rows = (height - 2 * _MARGIN_PX) // _LINE_PX
    if len(scene.registered) > rows or width < 3 * _NAMES_WIDTH_PX:
        return []
    return [f"{i + 1}   {_short(view.name)}" for i, view, _ in scene.posed_views()]


def _short(name: str) -> str:
    name = plain(name)
    return name if len(name) <= _NAME_LETTERS else "…" + name[1 - _NAME_LETTERS :]


def _projection(
    scene: Reconstruction, drawing: Drawing, width: int, height: int
) -> Float[Tensor, "2 4"]:
    """Return the map that fits what is to be seen into the picture."""
    frame = drawing.frame
    back = behind(scene, drawing.cloud, frame) - frame.centre
    ahead = torch.nn.functional.normalize((back @ frame.up) * frame.up - back, dim=0)
    axes = torch.stack((torch.linalg.cross(ahead, frame.up), -ahead))
    low, high = (to_be_seen(scene, drawing.cloud, frame) @ axes.mT).aminmax(dim=0)
    room = torch.tensor([width - 2 * _MARGIN_PX, height - 2 * _MARGIN_PX], dtype=torch.float64)
    scale = (room / (high - low).clamp(min=1e-9 * frame.radius)).min()
    middle = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    shift = middle - scale * (low + high) / 2
    return torch.cat((scale * axes, shift[:, None]), dim=1)


def _placed(
    points: Float[Tensor, "points 3"], projection: Float[Tensor, "2 4"]
) -> Float[Tensor, "points 2"]:
    return points.double() @ projection[:, :3].mT + projection[:, 3]


def _density(
    drawing: Drawing, projection: Float[Tensor, "2 4"], width: int, height: int
) -> Image.Image:
    """Return the mean colour of the points in each cell, the fainter the fewer there are."""
    places = _placed(drawing.cloud.points, projection)
    inside = ((places >= 0) & (places < torch.tensor([width, height]))).all(dim=-1)
    cell_px = min(max(math.sqrt(2 * width * height / max(int(inside.sum()), 1)), 2.0), 6.0)
    columns, rows = math.ceil(width / cell_px), math.ceil(height / cell_px)
    column, row = (places[inside] / cell_px).long().unbind(-1)
    cell = row * columns + column
    count = torch.zeros(rows * columns).index_add_(0, cell, torch.ones(len(cell)))
    color = torch.zeros(rows * columns, 3).index_add_(0, cell, drawing.colors[inside].float())
    occupied = count[count > 0]
    typical = occupied.median() if len(occupied) else torch.tensor(1.0)
    opacity = (1 - torch.exp(-1.5 * count / typical))[:, None]
    mean = color / count.clamp(min=1)[:, None]
    shown = opacity * mean + (1 - opacity) * torch.tensor(BACKGROUND, dtype=torch.float32)
    cells = shown.round().to(torch.uint8).unflatten(0, (rows, columns))
    full = (round(columns * cell_px), round(rows * cell_px))
    image = Image.fromarray(cells.numpy()).resize(full, Image.Resampling.BILINEAR)
    return image.crop((0, 0, width, height))


def _with_cameras(
    scene: Reconstruction, drawing: Drawing, ground: Image.Image, projection: Float[Tensor, "2 4"]
) -> Image.Image:
    """Return the map with the frustum of each camera, as it looks from above."""
    fine = (ground.width * _FINE, ground.height * _FINE)
    lines, areas = Image.new("L", fine), Image.new("L", fine)
    line_pen, area_pen = ImageDraw.Draw(lines), ImageDraw.Draw(areas)
    depth = _frustum_depth(drawing, projection)
    for _, _, camera in scene.posed_views():
        corners = [
            tuple(xy) for xy in (_FINE * _placed(frustum(camera, depth), projection)).tolist()
        ]
        for side in ((0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 1)):
            area_pen.polygon([corners[k] for k in side], fill=90)
        for start, end in zip(FRUSTUM_EDGES[::2], FRUSTUM_EDGES[1::2], strict=True):
            line_pen.line((corners[start], corners[end]), fill=255, width=_FINE + 1)
        x, y = corners[0]
        line_pen.ellipse((x - 7, y - 7, x + 7, y + 7), fill=255)
    picture = ground.copy()
    for mask in (areas, lines):
        picture.paste(CAMERA_COLOR, mask=mask.resize(ground.size, Image.Resampling.BOX))
    return picture


def _frustum_depth(drawing: Drawing, projection: Float[Tensor, "2 4"]) -> float:
    px_per_unit = projection[0, :3].norm().item()
    return max(drawing.frame.frustum_depth, _LEAST_FRUSTUM_PX / px_per_unit)


def _write_numbers(
    pen: ImageDraw.ImageDraw,
    scene: Reconstruction,
    projection: Float[Tensor, "2 4"],
    size: tuple[int, int],
) -> None:
    """Write the number of each camera behind it, or beside it; where all is taken, nowhere."""
    taken: list[tuple[float, float, float, float]] = []
    letters = font(_FONT_PX)
    style = {"fill": TEXT_COLOR, "font": letters, "stroke_width": 2, "stroke_fill": BACKGROUND}
    for i, _, camera in scene.posed_views():
        pose = camera.world_from_camera.double()
        ends = torch.stack((pose[:3, 3], pose[:3, 3] + pose[:3, 2]))
        centre, ahead = _placed(ends, projection)
        look = torch.nn.functional.normalize(ahead - centre, dim=0)
        turned = torch.stack((-look[1], look[0]))
        for offset in (-look, turned, -turned, look):
            x, y = (centre + 13 * offset).tolist()
            box = pen.textbbox((x, y), f"{i + 1}", font=letters, anchor="mm")
            if _is_free(box, taken, size):
                taken.append(box)
                pen.text((x, y), f"{i + 1}", anchor="mm", **style)
                break


def _is_free(
    box: tuple[float, float, float, float],
    taken: list[tuple[float, float, float, float]],
    size: tuple[int, int],
) -> bool:
    left, top, right, bottom = box
    within = left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]
    apart = (
        left > b[2] + 1 or right < b[0] - 1 or top > b[3] + 1 or bottom < b[1] - 1 for b in taken
    )
    return within and all(apart)


def _write_scale(
    pen: ImageDraw.ImageDraw,
    scene: Reconstruction,
    projection: Float[Tensor, "2 4"],
    width: int,
    height: int,
) -> None:
    """Draw a bar of a round length in the lower right corner of the map."""
    px_per_unit = projection[0, :3].norm().item()
    longest = width / 5 / px_per_unit
    power = 10.0 ** math.floor(math.log10(longest))
    length = max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))
    unit = "m" if scene.scale.kind == "metric" else "units of the scene"
    right, y = width - 16, height - 16
    left = right - length * px_per_unit
    pen.line((left, y, right, y), fill=TEXT_COLOR, width=2)
    for x in (left, right):
        pen.line((x, y - 4, x, y + 4), fill=TEXT_COLOR, width=2)
    words = f"{length:g} {unit}"
    pen.text((right, y - 8), words, fill=TEXT_COLOR, font=font(_FONT_PX), anchor="rb")
