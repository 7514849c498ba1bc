"""One job in the worker: uploaded files in, results on disk out, as `fast3r reconstruct` does."""

import os
import shutil
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from fast3r.models.checkpoints import model_hash
from fast3r.models.fast3r import Fast3R
from fast3r.scene.machine import Precision, choose_precision, hardware_name
from fast3r.scene.priors.types import Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.features import FEATURE_SIDE_PX
from fast3r.scene.refinement.refine import STAGES as REFINEMENT_STAGES
from fast3r.scene.refinement.refine import refine
from fast3r.scene.report import RunReport
from fast3r.scene.run import reconstruct
from fast3r.scene.stages import StageRecorder, Watcher
from fast3r.serve.knowledge import given_priors, lenses_of
from fast3r.serve.messages import (
    ErrorKind,
    JobError,
    LeftOut,
    Outcome,
    StageSeconds,
    Upload,
)
from fast3r.serve.naming import STORAGE_NAME, is_video
from fast3r.serve.wire import Done, Order
from fast3r.views.decode import UnreadablePhotoError, open_image
from fast3r.views.load import Progress, load_views
from fast3r.views.view import SkippedPhoto, View, Views
from fast3r.viz.results import FORMATS, write_results

STAGES = ("load photos", "encoder and fusion", "pointmaps", "cameras", "write files")
"""What a job goes through."""

_STAGES_REFINED = (*STAGES[:-1], *REFINEMENT_STAGES, STAGES[-1])
"""The same with refinement."""

_MAX_REASON = 500
"""Characters of a message; those of decoders may quote what they choked on."""


@dataclass(frozen=True)
class Desk:
    """What a worker has at hand for all its jobs."""

    model: Fast3R
    """Loaded, on its device."""

    model_name: str
    """As whoever runs the service calls it."""

    precision: Precision
    """Number format of the transformer."""

    @classmethod
    def furnished(cls, model: Fast3R, name: str, precision: str) -> "Desk":
        """Return the desk of a model, with "auto" decided for its device."""
        assert precision in ("auto", "float32", "bfloat16")
        return cls(model, name, choose_precision(precision, model.device))


def work(order: Order, desk: Desk, watcher: Watcher) -> Done:
    """Return what became of a job; what is the client's fault, or the disk's, is said in it."""
    recorder = StageRecorder(desk.model.device, watcher=watcher)
    try:
        done = _reconstructed(order, desk, recorder)
    except ValueError as error:
        done = _failed("bad_input", _without_paths(str(error), order))
    except ImportError as error:
        done = _failed("bad_input", f"{error} (on the server)")
    except MemoryError as error:
        done = _failed("too_large", str(error) or "not enough memory for so many photos")
    except OSError as error:
        done = _failed("server", f"the disk of the service failed: {error.strerror or error}")
    costs = [StageSeconds(name=cost.name, seconds=cost.seconds) for cost in recorder.costs]
    return done.model_copy(update={"stages": costs})


def _failed(kind: ErrorKind, message: str) -> Done:
    retryable = kind == "server"
    return Done(error=JobError(kind=kind, message=message[:_MAX_REASON], retryable=retryable))


def _reconstructed(order: Order, desk: Desk, recorder: StageRecorder) -> Done:
    shutil.rmtree(order.result_folder, ignore_errors=True)
    options = order.options
    priors = given_priors(order)
    with recorder.stage("load photos") as tell:
        views = _views(order, desk.model, priors, tell)
    scene = reconstruct(
        views,
        desk.model,
        seed=options.seed,
        size=options.size,
        precision=desk.precision,
        share_focal=options.share_focal,
        priors=priors,
        recorder=recorder,
    )
    if options.refine:
        larger = _frames(order)
        scene = refine(scene, photos=larger, priors=priors, seed=options.seed, recorder=recorder)
    scene = replace(scene, views=[replace(view, source=None) for view in scene.views])
    problems = write_results(
        scene,
        _report(order, desk, recorder),
        order.result_folder,
        options.formats,
        recorder,
        min_conf_percentile=options.min_conf_percentile,
    )
    return Done(
        error=_why_no_scene(scene),
        outcome=_outcome(scene),
        problems=problems,
        results=_packed(order),
    )


def _views(order: Order, model: Fast3R, priors: Priors | None, tell: Progress) -> Views:
    """Return the views of the uploads, under their clients' names."""
    options = order.options
    chosen, skipped = _of_bearable_size(order)
    views = load_views(
        [order.input_folder / upload.file for upload in chosen],
        size=model.config.image_size if options.size is None else options.size,
        patch=model.patch,
        lenses=lenses_of(order, priors),
        fps=options.fps,
        num_frames=options.num_frames,
        # Renaming decodes a view, so nothing is gained by decoding late.
        lazy_above=order.max_views,
        progress=tell,
    )
    if len(views) > order.max_views:
        raise ValueError(
            f"{len(views)} photos and frames are more than the {order.max_views} that this service "
            "takes; send fewer photos, or set num_frames for videos"
        )
    skipped += [
        SkippedPhoto(_view_name(photo.name, order), _without_paths(photo.reason, order))
        for photo in views.skipped
    ]
    return Views([_renamed(view, order) for view in views], skipped)


def _frames(order: Order) -> list[View]:
    """Return the frames of videos at the size for features; photos are read again by themselves."""
    videos = [order.input_folder / u.file for u in order.uploads if is_video(u.file)]
    if not videos:
        return []
    options = order.options
    frames = load_views(
        videos, size=FEATURE_SIDE_PX, patch=1, fps=options.fps, num_frames=options.num_frames
    )
    return [_renamed(frame, order) for frame in frames]


def _of_bearable_size(order: Order) -> tuple[list[Upload], list[SkippedPhoto]]:
    """Return the files to read, and the photos that would take too much memory to decode.

    Raises:
        ValueError: None is left.
    """
    chosen, skipped = [], []
    for upload in order.uploads:
        reason = None
        if not is_video(upload.file):
            reason = _too_many_pixels(order.input_folder / upload.file, order.max_pixels)
        if reason is None:
            chosen.append(upload)
        else:
            skipped.append(SkippedPhoto(upload.name, reason))
    if not chosen:
        raise ValueError("; ".join(f"{photo.name}: {photo.reason}" for photo in skipped[:3]))
    return chosen, skipped


def _too_many_pixels(path: Path, max_pixels: int) -> str | None:
    try:
        with open_image(path) as image:
            width, height = image.size
    except UnreadablePhotoError:
        # `load_views` says why.
        return None
    if width * height <= max_pixels:
        return None
    return f"{width}x{height} px is more than the {max_pixels / 1e6:g} million of this service"


def _renamed(view: View, order: Order) -> View:
    renamed = replace(view, name=_view_name(view.name, order))
    if view.face is None:
        return renamed
    panorama = _view_name(view.face.panorama, order)
    return replace(renamed, face=replace(view.face, name=renamed.name, panorama=panorama))


def _view_name(stored: str, order: Order) -> str:
    """Return the name of a view in the client's words, given that of `load_views`.

    Photos are named like their files, faces of panoramas `NAME#face0`, and video frames
    `STEM/frame_000012`.
    """
    names = {upload.file: upload.name for upload in order.uploads}
    photo, mark, face = stored.partition("#")
    if photo in names:
        return f"{names[photo]}{mark}{face}"
    stem, _, frame = stored.partition("/")
    stems = {PurePosixPath(f).stem: PurePosixPath(n).stem for f, n in names.items() if is_video(f)}
    return f"{stems[stem]}/{frame}"


def _without_paths(message: str, order: Order) -> str:
    """Return a message in which files are called as the client called them."""
    names = {upload.file: upload.name for upload in order.uploads}
    message = message.replace(f"{order.input_folder}{os.sep}", "")
    message = STORAGE_NAME.sub(lambda match: names.get(match[0], match[0]), message)
    return message[:_MAX_REASON]


def _report(order: Order, desk: Desk, recorder: StageRecorder) -> RunReport:
    return RunReport(
        model=desk.model_name,
        model_hash=model_hash(desk.model),
        device=f"{desk.model.device} ({hardware_name(desk.model.device)})",
        precision=desk.precision,
        seed=order.options.seed,
        options=order.options.model_dump(),
        stages=recorder.costs,
    )


def _why_no_scene(scene: Reconstruction) -> JobError | None:
    if scene.registered:
        return None
    reasons = dict.fromkeys(reason for reason in scene.failures if reason is not None)
    message = f"no photo found its place: {'; '.join(list(reasons)[:3])}"
    return JobError(kind="no_cameras", message=message[:_MAX_REASON], retryable=False)


def _outcome(scene: Reconstruction) -> Outcome:
    left_out = [LeftOut(name=photo.name, reason=photo.reason) for photo in scene.skipped]
    left_out += [
        LeftOut(name=view.name, reason=reason)
        for view, reason in zip(scene.views, scene.failures, strict=True)
        if reason is not None
    ]
    return Outcome(used=len(scene.views), registered=len(scene.registered), left_out=left_out)


def _packed(order: Order) -> dict[str, str]:
    """Return the file of each format that was written; folders become one zip file each."""
    results = {"report": "report.json"}
    for name in order.options.formats:
        target = FORMATS[name].target
        if (order.result_folder / target).is_dir():
            target = _zipped(order.result_folder, PurePosixPath(target).parts[0])
        if (order.result_folder / target).is_file():
            results[name] = target
    return results


def _zipped(folder: Path, name: str) -> str:
    """Put a folder into a zip file in its place, and return the file's name."""
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for path in sorted(p for p in (folder / name).rglob("*") if p.is_file()):
            out.write(path, path.relative_to(folder))
    shutil.rmtree(folder / name)
    return f"{name}.zip"


def share_done(stage: str, done: int, steps: int, *, refined: bool = False) -> float:
    """Return how much of a job is done, given how many steps of a stage are.

    Args:
        stage: What is being done.
        done: Steps of it that are over.
        steps: All of them.
        refined: Whether refinement is among the stages.
    """
    stages = _STAGES_REFINED if refined else STAGES
    # A stage that is not known here should cost its progress, not the job.
    if stage not in stages:
        return 0.0
    return (stages.index(stage) + (done / steps if steps else 0.0)) / len(stages)
