"""`fast3r render`: a saved scene in, pictures and a film out."""

import math
from collections.abc import Callable
from pathlib import Path

from fast3r.cli.options.render import Render
from fast3r.cli.output import check_writable, explained
from fast3r.cli.saved import scene_file
from fast3r.cli.screen import Screen
from fast3r.export.formats import load
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.scene.staging import staging
from fast3r.viz.drawing import check_size
from fast3r.viz.movies import check_movie
from fast3r.viz.selection import find_views, only_views
from fast3r.viz.stills import depth_strip, render_still
from fast3r.viz.top_view import render_top_view
from fast3r.viz.turntable import write_turntable

_Draw = Callable[[Render, Reconstruction, PointCloud, Path, Callable[[int, int], None]], None]


def run(options: Render) -> int:
    """Load the scene, draw it, and print the output folder.

    Pictures that are finished stay when a later one is interrupted.

    Raises:
        ValueError: An option is wrong, or the scene is damaged or has nothing to draw.
        OSError: The scene cannot be read.
        ImportError: An extra is missing.
    """
    names = options.picture or tuple(_PICTURES)
    files = {name: _file_name(options, name) for name in names}
    _check(options, files)
    with Screen(options.talk) as screen:
        recorder = StageRecorder(watcher=screen)
        with recorder.stage("load scene"):
            scene = _chosen(load(scene_file(options.scene)), options.views)
            cloud = scene.point_cloud(min_conf_percentile=options.min_conf_percentile)
        _refuse_photo_folder(scene, options.output)
        check_writable(options.output)
        for name, file in files.items():
            with (
                recorder.stage(name) as tell,
                explained(options.output),
                staging(options.output) as stage,
            ):
                _PICTURES[name](options, scene, cloud, stage / file, tell)
    print(options.output)
    return 0


def _file_name(options: Render, name: str) -> str:
    return f"{name}.{options.film if name == 'turntable' else 'png'}"


def _check(options: Render, files: dict[str, str]) -> None:
    """Refuse what can be refused before the scene is loaded."""
    check_size(*options.size)
    check_size(*options.film_size)
    if not 0 < options.point_size < math.inf:
        raise ValueError(f"--point-size must be positive, got {options.point_size}")
    if "turntable" in files:
        check_movie(Path(files["turntable"]), seconds=options.seconds, count=options.frames)


def _chosen(scene: Reconstruction, views: str | None) -> Reconstruction:
    if views is None:
        return scene
    return only_views(scene, find_views(scene, views), reason="not among --views")


def _refuse_photo_folder(scene: Reconstruction, output: Path) -> None:
    folders = {view.source.parent.resolve() for view in scene.views if view.source is not None}
    if output.resolve() in folders:
        raise ValueError(
            f"pictures would join the photos in {output}; choose another folder for --output"
        )


def _draw_still(
    options: Render,
    scene: Reconstruction,
    cloud: PointCloud,
    path: Path,
    tell: Callable[[int, int], None],
) -> None:
    width, height = options.size
    picture = render_still(
        scene,
        width=width,
        height=height,
        cloud=cloud,
        color_by=options.color_by,
        point_size=options.point_size,
        show_cameras=not options.hide_cameras,
    )
    picture.save(path)


def _draw_turntable(
    options: Render,
    scene: Reconstruction,
    cloud: PointCloud,
    path: Path,
    tell: Callable[[int, int], None],
) -> None:
    width, height = options.film_size
    write_turntable(
        scene,
        path,
        seconds=options.seconds,
        frames=options.frames,
        width=width,
        height=height,
        camera=options.path,
        cloud=cloud,
        color_by=options.color_by,
        point_size=options.point_size,
        show_cameras=not options.hide_cameras,
        progress=tell,
    )


def _draw_depth(
    options: Render,
    scene: Reconstruction,
    cloud: PointCloud,
    path: Path,
    tell: Callable[[int, int], None],
) -> None:
    depth_strip(scene, show_names=True).save(path)


def _draw_top_view(
    options: Render,
    scene: Reconstruction,
    cloud: PointCloud,
    path: Path,
    tell: Callable[[int, int], None],
) -> None:
    width, height = options.size
    view = render_top_view(
        scene, width=width, height=height, cloud=cloud, color_by=options.color_by
    )
    view.picture.save(path)


_PICTURES: dict[str, _Draw] = {
    "still": _draw_still,
    "depth": _draw_depth,
    "top-view": _draw_top_view,
    "turntable": _draw_turntable,
}
