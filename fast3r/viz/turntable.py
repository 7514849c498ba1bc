"""Films of a scene: around it, or to and fro before it."""

from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.camera_paths import PathKind, camera_at, camera_path
from fast3r.viz.coloring import ColorBy
from fast3r.viz.drawing import check_size, draw, prepare
from fast3r.viz.lettering import add_legend
from fast3r.viz.movies import check_movie, write_movie


def render_turntable(
    scene: Reconstruction,
    *,
    frames: int = 60,
    width: int = 640,
    height: int = 480,
    camera: PathKind = "auto",
    cloud: PointCloud | None = None,
    color_by: ColorBy = "photo",
    point_size: float = 1.0,
    show_cameras: bool = True,
) -> Iterator[Image.Image]:
    """Return the frames of a film that can be played round and round, drawn as they are taken.

    The options are those of `write_turntable`.

    Raises:
        ValueError: No view has a camera, the cloud is empty, or an option is out of range.
    """
    check_size(width, height)
    if frames < 1:
        raise ValueError(f"a film needs frames, got {frames}")
    drawing = prepare(
        scene, cloud, color_by=color_by, point_size=point_size, show_cameras=show_cameras
    )
    poses = camera_path(
        scene, drawing.cloud, drawing.frame, camera, count=frames, aspect=width / height
    )
    cameras = (camera_at(pose, width=width, height=height) for pose in poses)
    return (add_legend(draw(drawing, each), drawing.legend) for each in cameras)


def write_turntable(
    scene: Reconstruction,
    path: Path,
    *,
    seconds: float = 6.0,
    frames: int = 60,
    width: int = 640,
    height: int = 480,
    camera: PathKind = "auto",
    cloud: PointCloud | None = None,
    color_by: ColorBy = "photo",
    point_size: float = 1.0,
    show_cameras: bool = True,
    progress: Callable[[int, int], None] = lambda done, steps: None,
) -> None:
    """Write `render_turntable` as a film; its suffix, .gif, .webp or .mp4, tells the format.

    Args:
        scene: What to draw.
        path: The file.
        seconds: How long one round lasts.
        frames: How many.
        width: Of each in pixels.
        height: Of each in pixels.
        camera: How it moves: all the way around ("orbit"), or to and fro ("swing"); "auto" is an
            orbit where photos were taken from all sides, else a swing.
        cloud: The points to draw; without it those of `scene.point_cloud()`.
        color_by: What the colours of the points tell.
        point_size: Makes the points larger or smaller; 1 just leaves no holes.
        show_cameras: Whether to draw them.
        progress: Told after each frame how many are done, of how many; what it raises ends it.

    Raises:
        ValueError: No view has a camera, the cloud is empty, an option is out of range, or the
            suffix is unknown.
        ImportError: MP4 needs PyAV, which is not installed.
    """
    check_movie(path, seconds=seconds, count=frames)
    pictures = render_turntable(
        scene,
        frames=frames,
        width=width,
        height=height,
        camera=camera,
        cloud=cloud,
        color_by=color_by,
        point_size=point_size,
        show_cameras=show_cameras,
    )
    write_movie(_told(pictures, frames, progress), path, seconds=seconds, count=frames)


def _told(
    pictures: Iterator[Image.Image], count: int, progress: Callable[[int, int], None]
) -> Iterator[Image.Image]:
    for k, picture in enumerate(pictures):
        yield picture
        progress(k + 1, count)
