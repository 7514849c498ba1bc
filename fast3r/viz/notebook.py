"""A scene at the end of a notebook's cell: what was found, a picture, and a page to turn it."""

import base64
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from importlib.util import find_spec
from pathlib import Path

import rich

from fast3r.export import html
from fast3r.scene.point_cloud import PointCloud, random_points
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.stills import render_still

_WIDTH_PX, _HEIGHT_PX = 720, 480
# The page is stored in the notebook: 1.5 MB with so many.
_PAGE_POINTS = 60_000
_SHOWN_PROBLEMS = 5


def scene_html(scene: Reconstruction) -> str:
    """Return a scene as a piece of HTML that needs neither network nor server.

    The page to turn the scene in needs the extra viewer, and is left out without it.
    """
    parts = [_summary(scene)]
    if scene.registered:
        cloud = scene.point_cloud()
        if len(cloud) == 0:
            parts.append("<p>No pixel has depth, so there are no points.</p>")
        else:
            parts.append(_picture(scene, cloud))
            if find_spec("viser") is not None:
                parts.append(_page(scene, cloud))
    return "\n".join(parts)


def _summary(scene: Reconstruction) -> str:
    found = f"{len(scene.views)} photos, {len(scene.registered)} with a camera"
    unit = "metres" if scene.scale.kind == "metric" else "arbitrary"
    lines = [f"<b>Scene</b>: {found}; unit: {unit}"]
    pairs = zip(scene.views, scene.failures, strict=True)
    problems = [f"{view.name} has no camera: {failure}" for view, failure in pairs if failure]
    problems += [f"{photo.name} was not used: {photo.reason}" for photo in scene.skipped]
    lines += [escape(problem) for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        lines.append(f"and {len(problems) - _SHOWN_PROBLEMS} more")
    return f"<p>{'<br>'.join(lines)}</p>"


def _picture(scene: Reconstruction, cloud: PointCloud) -> str:
    buffer = io.BytesIO()
    still = render_still(scene, width=_WIDTH_PX, height=_HEIGHT_PX, cloud=cloud)
    still.save(buffer, format="JPEG", quality=88)
    source = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<img alt="points and cameras" width="{_WIDTH_PX}" height="{_HEIGHT_PX}" '
        f'src="data:image/jpeg;base64,{source}">'
    )


def _page(scene: Reconstruction, cloud: PointCloud) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.html"
        with _without_announcements():
            html.write(scene, path, cloud=random_points(cloud, _PAGE_POINTS))
        page = path.read_text(encoding="utf-8")
    return (
        "<details><summary>Turn it with the mouse</summary>"
        f'<iframe width="{_WIDTH_PX}" height="{_HEIGHT_PX}" loading="lazy" style="border:0" '
        f'srcdoc="{escape(page)}"></iframe></details>'
    )


@contextmanager
def _without_announcements() -> Iterator[None]:
    """Keep viser from telling the reader of the notebook about its server, which is gone soon."""
    console = rich.get_console()
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before
