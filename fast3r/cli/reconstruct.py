"""`fast3r reconstruct`: photos or a video in, cameras and points out."""

from dataclasses import asdict

import torch

from fast3r.cli.options.reconstruct import Reconstruct
from fast3r.cli.output import (
    check_writable,
    explained,
    refuse_pictures_among_photos,
    refuse_problems,
    requested_formats,
)
from fast3r.cli.priors import requested_priors, tell_priors
from fast3r.cli.refine import tell_refinement
from fast3r.cli.screen import Screen
from fast3r.models.checkpoints import load_model, model_hash
from fast3r.models.fast3r import Fast3R
from fast3r.scene.machine import choose_device, choose_precision, hardware_name
from fast3r.scene.priors.applying import with_priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.features import FEATURE_SIDE_PX, import_pycolmap
from fast3r.scene.refinement.photos import is_video_frame
from fast3r.scene.refinement.refine import refine
from fast3r.scene.report import RunReport
from fast3r.scene.run import reconstruct
from fast3r.scene.stages import StageRecorder
from fast3r.views.load import load_views
from fast3r.views.sources import find_sources
from fast3r.views.views import Views
from fast3r.viz.results import write_results

_SHOWN = 5
"""Photos left out that are named on the screen; the report names all."""


def run(options: Reconstruct) -> int:
    """Reconstruct, write, and print the output folder.

    Raises:
        ValueError: An option is wrong, there is nothing to read, or no photo found its place.
        OSError: Something cannot be read.
        MemoryError: There are more photos than the device has room for.
        ImportError: An extra is missing.
    """
    formats = requested_formats(("cameras", "ply", *options.format))
    _check(options, formats)
    priors = requested_priors(options)
    device = choose_device(options.device)
    with Screen(options.talk) as screen:
        recorder = StageRecorder(device, watcher=screen)
        model, views = _load(options, device, recorder)
        report = _report(options, model, recorder)
        screen.say(f"{len(views)} photos or frames, on {report.device} in {report.precision}")
        scene = reconstruct(
            views,
            model,
            seed=options.seed,
            size=options.size,
            precision=options.precision,
            share_focal=options.share_focal,
            priors=priors,
            keep_world=options.keep_world,
            recorder=recorder,
        )
        if options.refine:
            scene = refine(
                scene, photos=_larger_frames(options, views), seed=options.seed, recorder=recorder
            )
            tell_refinement(scene, screen)
        if priors is not None:
            scene = with_priors(scene, priors, seed=options.seed) if options.refine else scene
            tell_priors(scene, screen)
        _tell_left_out(scene, screen)
        with explained(options.output):
            problems = write_results(
                scene,
                report,
                options.output,
                formats,
                recorder,
                min_conf_percentile=options.min_conf_percentile,
            )
    scene.posed_views()
    refuse_problems(problems)
    print(options.output)
    return 0


def _check(options: Reconstruct, formats: list[str]) -> None:
    """Refuse what can be refused before anything heavy is loaded."""
    if not options.photos:
        raise ValueError("no photos were named: give a folder, image files, or a video")
    if not 0 <= options.seed < 2**64:
        raise ValueError(f"--seed must be between 0 and 2**64 - 1, got {options.seed}")
    if not 0 <= options.min_conf_percentile <= 100:
        raise ValueError(
            f"--min-conf-percentile must lie in [0, 100], got {options.min_conf_percentile}"
        )
    if options.refine:
        import_pycolmap()
    sources = find_sources(options.photos)
    photos = [photo.path for photo in sources.photos]
    refuse_pictures_among_photos(formats, options.output, photos)
    check_writable(options.output)


def _load(
    options: Reconstruct, device: torch.device, recorder: StageRecorder
) -> tuple[Fast3R, Views]:
    with recorder.stage("load model"):
        model = load_model(
            options.model, device=str(device), commercial_only=options.commercial_only
        )
    with recorder.stage("load photos") as tell:
        views = load_views(
            options.photos,
            size=model.config.image_size if options.size is None else options.size,
            patch=model.patch,
            masks=options.masks,
            fps=options.fps,
            num_frames=options.num_frames,
            progress=tell,
        )
    return model, views


def _larger_frames(options: Reconstruct, views: Views) -> Views | None:
    """Return the frames of videos at the size for features; photos are read again by themselves."""
    if not any(is_video_frame(view) for view in views):
        return None
    larger = load_views(
        options.photos,
        size=FEATURE_SIDE_PX,
        patch=1,
        fps=options.fps,
        num_frames=options.num_frames,
    )
    return Views(view for view in larger if is_video_frame(view))


def _report(options: Reconstruct, model: Fast3R, recorder: StageRecorder) -> RunReport:
    return RunReport(
        model=options.model,
        model_hash=model_hash(model),
        device=f"{model.device} ({hardware_name(model.device)})",
        precision=choose_precision(options.precision, model.device),
        seed=options.seed,
        options=asdict(options),
        stages=recorder.costs,
    )


def _tell_left_out(scene: Reconstruction, screen: Screen) -> None:
    lost = [f"{photo.name} was not used: {photo.reason}" for photo in scene.skipped]
    lost += [
        f"{view.name} found no place: {reason}"
        for view, reason in zip(scene.views, scene.failures, strict=True)
        if reason is not None
    ]
    for line in lost[:_SHOWN]:
        screen.say(line)
    if len(lost) > _SHOWN:
        screen.say(f"and {len(lost) - _SHOWN} more photos, see report.json")
