"""`fast3r render`: a saved scene in, pictures and a film out."""

import math
from collections.abc import Callable
from pathlib import Path

from fast3r.cli.options.render import Render
from fast3r.cli.output import check_writable, explained
from fast3r.cli.saved import load_scene
from fast3r.cli.screen import Screen
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.scene.staging import staging
from fast3r.viz.drawing import MAX_POINTS, check_size
from fast3r.viz.movies import check_movie
from fast3r.viz.stills import depth_strip, render_still
from fast3r.viz.top_view import render_top_view
from fast3r.viz.turntable import write_turntable

_PICTURES = ("still", "depth", "top-view", "turntable")
_SIZE = (1200, 800)
_SIZES = {"turntable": (640, 480)}


def run(options: Render) -> int:
    """Load the scene, draw it, and print the output folder.

    Pictures that are finished stay when a later one is interrupted.

    Raises:
        ValueError: An option is wrong, or the scene is damaged or has nothing to draw.
        OSError: The scene cannot be read.
        ImportError: An extra is missing.
    """
    names = options.picture or _PICTURES
    files = {name: _file_name(options, name) for name in names}
    _check(options, files)
    with Screen(options.talk) as screen:
        recorder = StageRecorder(watcher=screen)
        scene = load_scene(options.scene, recorder)
        cloud = scene.point_cloud(
            min_conf_percentile=options.min_conf_percentile, max_points=MAX_POINTS
        )
        _refuse_photo_folder(scene, options.output)
        check_writable(options.output)
        for name, file in files.items():
            with (
                recorder.stage(name) as tell,
                explained(options.output),
                staging(options.output) as stage,
            ):
                _draw(name, options, scene, cloud, stage / file, tell)
    print(options.output)
    return 0


def _file_name(options: Render, name: str) -> str:
    return f"{name}.{options.film if name == 'turntable' else 'png'}"


def _check(options: Render, files: dict[str, str]) -> None:
    """Refuse what can be refused before the scene is loaded."""
    if options.size is not None:
        check_size(*options.size)
    if not 0 < options.point_size < math.inf:
        raise ValueError(f"--point-size must be positive, got {options.point_size}")
    if "turntable" in files:
        check_movie(Path(files["turntable"]), seconds=options.seconds, count=options.frames)


def _refuse_photo_folder(scene: Reconstruction, output: Path) -> None:
    folders = {view.source.parent.resolve() for view in scene.views if view.source is not None}
    if output.resolve() in folders:
        raise ValueError(
            f"pictures would join the photos in {output}; choose another folder for --output"
        )


def _draw(
    name: str,
    options: Render,
    scene: Reconstruction,
    cloud: PointCloud,
    path: Path,
    tell: Callable[[int, int], None],
) -> None:
    """Draw the picture of a name into a file."""
    width, height = _size(options, name)
    colored = {"cloud": cloud, "color_by": options.color_by}
    look = {"point_size": options.point_size, "show_cameras": not options.hide_cameras}
    match name:
        case "still":
            still = render_still(scene, width=width, height=height, **colored, **look)
            still.save(path)
        case "depth":
            depth_strip(scene, show_names=True).save(path)
        case "top-view":
            render_top_view(scene, width=width, height=height, **colored).picture.save(path)
        case _:
            write_turntable(
                scene,
                path,
                width=width,
                height=height,
                seconds=options.seconds,
                frames=options.frames,
                camera=options.path,
                progress=tell,
                **colored,
                **look,
            )


def _size(options: Render, name: str) -> tuple[int, int]:
    return options.size or _SIZES.get(name, _SIZE)
