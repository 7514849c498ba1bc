"""Still pictures of a scene, made without display or graphics card."""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from fast3r.scene.point_cloud import Cloud
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.camera_paths import camera_at, overview
from fast3r.viz.coloring import ColorBy
from fast3r.viz.colormaps import level_pictures
from fast3r.viz.drawing import check_size, draw, prepare
from fast3r.viz.lettering import BACKGROUND, add_legend, write_over


def render_still(
    scene: Reconstruction,
    *,
    width: int = 1200,
    height: int = 800,
    world_from_camera: Float[Tensor, "4 4"] | None = None,
    cloud: Cloud | None = None,
    color_by: ColorBy = "photo",
    point_size: float = 1.0,
    show_cameras: bool = True,
) -> Image.Image:
    """Return a picture of the points and the cameras on a light background.

    Points seen from behind are left out, as the near walls of a doll's house.

    Args:
        scene: What to draw.
        width: Of the picture in pixels.
        height: Of the picture in pixels.
        world_from_camera: Where to stand; without it behind and above the cameras, where the
            points fill the picture.
        cloud: The points to draw; without it those of `scene.point_cloud()`.
        color_by: What the colours of the points tell.
        point_size: Makes the points larger or smaller; 1 just leaves no holes.
        show_cameras: Whether to draw them.

    Raises:
        ValueError: No view has a camera, the cloud is empty, or an option is out of range.
    """
    check_size(width, height)
    drawing = prepare(
        scene, cloud, color_by=color_by, point_size=point_size, show_cameras=show_cameras
    )
    if world_from_camera is None:
        world_from_camera = overview(scene, drawing.cloud, drawing.frame, aspect=width / height)
    picture = draw(drawing, camera_at(world_from_camera, width=width, height=height))
    return add_legend(picture, drawing.legend)


def write_still(scene: Reconstruction, path: Path, *, cloud: Cloud | None = None) -> None:
    """Write `render_still` as an image file; its suffix tells the format."""
    render_still(scene, cloud=cloud).save(path)


def depth_strip(
    scene: Reconstruction, *, max_views: int = 8, height: int = 160, show_names: bool = False
) -> Image.Image:
    """Return a sheet with a row for each registered view: photo, depth and confidence.

    Near and sure are bright; colours mean the same in all rows; grey is no depth.

    Args:
        scene: What to show.
        max_views: Where there are more, these many are taken evenly.
        height: Of a row in pixels.
        show_names: Whether to write the number, counted from 1, and the name of each view.

    Raises:
        ValueError: No view has a camera.
    """
    posed = scene.posed_views()
    step = max(len(posed) / max_views, 1)
    chosen = [posed[int(k * step)][0] for k in range(min(len(posed), max_views))]
    valid = [scene.valid(i) for i in chosen]
    nearness = [1 / scene.depth[i].float() for i in chosen]
    sureness = [scene.confidence[i].float().log() for i in chosen]
    photos = [scene.views[i].pixels for i in chosen]
    columns = [photos, level_pictures(nearness, valid), level_pictures(sureness, valid)]
    rows = [_row([column[k] for column in columns], height) for k in range(len(chosen))]
    size = (max(row.width for row in rows), sum(row.height for row in rows))
    sheet = Image.new("RGB", size, BACKGROUND)
    for k, row in enumerate(rows):
        sheet.paste(row, (0, k * height))
        if show_names:
            name = f"{chosen[k] + 1}  {scene.views[chosen[k]].name}"
            write_over(sheet, (6, k * height + 4), name)
    return sheet


def _row(pictures: list[UInt8[Tensor, "_height _width 3"]], height: int) -> Image.Image:
    """Return pictures of one size side by side, scaled to a height."""
    image = Image.fromarray(torch.cat(pictures, dim=1).numpy())
    return image.resize((round(image.width * height / image.height), height))
