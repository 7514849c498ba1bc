"""Pieces of the page as HTML. Whatever comes from a visitor is escaped here."""

import base64
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import torch
from PIL import Image

from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.view import SkippedPhoto, View
from fast3r.viz.demo_app.drawing import jpeg
from fast3r.viz.demo_app.line import Job, Stage
from fast3r.viz.demo_app.visits import Visit
from fast3r.viz.demo_app.work import RUNNING

STAGES = {
    "load model": "Load the model",
    RUNNING: "Look at all photos",
    "pointmaps": "Find the depth",
    "cameras": "Find the cameras",
    "draw": "Draw the scene",
}
"""What a job goes through, in plain words."""

_REFINING = {
    "features": "Find features",
    "matches": "Match them",
    "structure from motion": "Refine the cameras",
    "features, thorough": "Find more features",
    "matches, thorough": "Match them too",
    "structure from motion, thorough": "Refine the cameras again",
    "depth alignment": "Fit the depth to them",
}
"""The same for what is refined, before it is drawn; shown once it has begun."""

EMPTY_VIEW = '<div class="stage empty"><p>The scene appears here.</p></div>'
"""Stands where the scene will be."""

_THUMBNAIL_PX = 96
_MAX_THUMBNAILS = 60
_MAX_NAMED = 8


def notice(text: str, *, kind: str = "problem") -> str:
    """Return a message, set apart."""
    return f'<div class="notice {kind}" role="status">{escape(text)}</div>'


def privacy(keep_minutes: float, is_shared: bool) -> str:
    """Return what becomes of what visitors add."""
    where = "All pass through gradio.live." if is_shared else "Nothing is sent elsewhere."
    return (
        "<p>Files are deleted as soon as they are read, their reduced copies and the scene "
        f"{keep_minutes:g} minutes after you last did something. {where}</p>"
    )


def tray(visit: Visit) -> str:
    """Return what a visitor has added: small pictures, and what could not be used."""
    views = [view for batch in visit.batches for view in batch.views]
    if not views:
        return left_out(visit.skipped)
    shown = views[:_MAX_THUMBNAILS]
    more = len(views) - len(shown)
    thumbnails = "".join(_thumbnail(view) for view in shown)
    thumbnails += f'<span class="more">+{more}</span>' if more else ""
    frames = sum(len(batch.views) for batch in visit.batches if batch.is_video)
    parts = [_count(len(views) - frames, "photo"), _count(frames, "video frame")]
    title = " and ".join(part for part in parts if part)
    return (
        f'<div class="tray"><b>{title}</b><div class="thumbnails">{thumbnails}</div></div>'
        + left_out(visit.skipped)
    )


def left_out(skipped: Sequence[SkippedPhoto]) -> str:
    """Return the files that could not be used, with the reason of each."""
    if not skipped:
        return ""
    lines = [f"<li><b>{escape(s.name)}</b>: {escape(s.reason)}</li>" for s in skipped[:_MAX_NAMED]]
    if len(skipped) > _MAX_NAMED:
        lines.append(f"<li>and {len(skipped) - _MAX_NAMED} more</li>")
    return (
        f'<div class="notice problem" role="status">{_count(len(skipped), "file")} not used:'
        f"<ul>{''.join(lines)}</ul></div>"
    )


def waiting(num_before: int) -> str:
    """Return what a visitor sees whose turn has not come."""
    return notice(f"Waiting: {_count(num_before, 'reconstruction')} before yours.", kind="waiting")


def progress(job: Job) -> str:
    """Return the stages of a job, and how far each is."""
    stages = {stage.name: stage for stage in list(job.stages)}
    *network, draw = STAGES.items()
    refining = [(name, title) for name, title in _REFINING.items() if name in stages]
    titles = (*network, *refining, draw)
    lines = [_stage_line(title, stages.get(name)) for name, title in titles]
    return f'<ol class="progress" aria-live="polite">{"".join(lines)}</ol>'


def summary(scene: Reconstruction, num_points: int, seconds: float) -> str:
    """Return in a line what came out."""
    placed = f"{len(scene.registered)} of {_count(len(scene.views), 'photo')}"
    record = scene.refinement
    refined = "" if record is None else f"{_count(record.refined, 'camera') or 'none'} refined, "
    return notice(
        f"{placed} found their place, {refined}{num_points:,} points, in {seconds:.1f} s.",
        kind="done",
    )


def stage_view(page: Path) -> str:
    """Return the frame that shows a page with the scene in 3D."""
    # Relative to the page, so that it is found behind proxies that put the demo into a folder.
    address = escape(f"gradio_api/file={quote(page.as_posix())}", quote=True)
    return (
        f'<iframe class="stage" title="The scene in 3D" src="{address}" allowfullscreen></iframe>'
    )


def picture(image: Image.Image, title: str) -> str:
    """Return a picture with a title."""
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<img alt="{escape(title, quote=True)}" src="{_inline(jpeg(image))}"></figure>'
    )


def camera_table(scene: Reconstruction) -> str:
    """Return a table of all photos: focal length, position, and why there is none."""
    rows = []
    for view, camera, failure in zip(scene.views, scene.cameras, scene.failures, strict=True):
        name = f"<td>{escape(view.name)}</td>"
        if camera is None:
            rows.append(
                f'<tr class="lost">{name}<td>no</td><td colspan="3">{escape(failure or "")}</td>'
            )
            continue
        focal_px = camera.intrinsics[:2, :2].diagonal().mean().item()
        position = camera.world_from_camera[:3, 3].tolist()
        placed = ", ".join(f"{x:.2f}" for x in position)
        size = f"{camera.width}×{camera.height}"
        rows.append(
            f"<tr>{name}<td>yes</td><td>{focal_px:.0f}</td><td>{size}</td><td>{placed}</td>"
        )
    titles = ("photo", "placed", "focal px", "size px", "position")
    head = "<tr>" + "".join(f"<th>{title}</th>" for title in titles)
    return f'<div class="scroll"><table class="cameras">{head}{"".join(rows)}</table></div>'


def _stage_line(title: str, stage: Stage | None) -> str:
    if stage is None:
        return f'<li class="later">{title}</li>'
    if stage.seconds is not None:
        return f'<li class="over">{title}<span>{stage.seconds:.1f} s</span></li>'
    seconds = time.monotonic() - stage.started
    bar = f'<progress max="1" value="{stage.share:.3f}"></progress>' if stage.share else ""
    return f'<li class="now">{title}{bar}<span>{seconds:.0f} s</span></li>'


def _thumbnail(view: View) -> str:
    step = max(view.height, view.width) // (2 * _THUMBNAIL_PX) + 1
    picture = Image.fromarray(view.pixels[::step, ::step].contiguous().to(torch.uint8).numpy())
    picture.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
    name = escape(view.name, quote=True)
    return f'<img alt="{name}" title="{name}" src="{_inline(jpeg(picture, quality=70))}">'


def _inline(content: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""
