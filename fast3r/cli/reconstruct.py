"""`fast3r reconstruct`: photos or a video in, cameras and points out."""

from dataclasses import asdict, dataclass

from fast3r.cli.chunks import check_chunks, in_chunks, remove_chunks, tell_chunks
from fast3r.cli.devices import first_device, spread
from fast3r.cli.ensemble import check_ensemble, in_passes, tell_passes, tell_turned
from fast3r.cli.lenses import lenses_to_load, tell_lenses
from fast3r.cli.limits import check_budget, check_seed
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
from fast3r.models.thinning import Thinning
from fast3r.scene.machine import choose_precision, hardware_name
from fast3r.scene.plan.rates import measure_rates
from fast3r.scene.priors.types import Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.features import FEATURE_SIDE_PX, import_pycolmap
from fast3r.scene.refinement.refine import refine
from fast3r.scene.report import RunReport
from fast3r.scene.run import reconstruct
from fast3r.scene.stages import StageRecorder
from fast3r.scene.upright import upright
from fast3r.views.load import load_views
from fast3r.views.masking.removal import check_removals
from fast3r.views.sources import find_sources
from fast3r.views.view import Views
from fast3r.viz.results import write_results


@dataclass(frozen=True)
class Request:
    """A scene that is wanted, refused already where that needs nothing heavy."""

    options: Reconstruct
    """What was asked for."""

    formats: list[str]
    """Formats to write."""

    priors: Priors | None
    """What is known of the scene."""

    @classmethod
    def checked(cls, options: Reconstruct) -> "Request":
        """Return the request that these options make.

        Raises:
            ValueError: An option is wrong, or there is nothing to read.
            OSError: A file with priors cannot be read.
            ImportError: An extra is missing.
        """
        formats = requested_formats(("cameras", "ply", *options.format))
        _thinning(options)
        _check(options, formats)
        return cls(options, formats, requested_priors(options))


def run(options: Reconstruct) -> int:
    """Reconstruct, write, and print the output folder.

    Raises:
        ValueError: An option is wrong, there is nothing to read, or no photo found its place.
        OSError: Something cannot be read.
        MemoryError: There are more photos than the device has room for.
        ImportError: An extra is missing.
    """
    request = Request.checked(options)
    device = first_device(options)
    with Screen(options.talk) as screen:
        recorder = StageRecorder(device, watcher=screen)
        with recorder.stage("load model"):
            model = load_model(
                options.model, device=str(device), commercial_only=options.commercial_only
            )
        with spread(model, options) as model:
            make_scene(request, model, screen, recorder)
    print(options.output)
    return 0


def make_scene(
    request: Request, model: Fast3R, screen: Screen, recorder: StageRecorder
) -> Reconstruction:
    """Return the scene that is wanted, written to its folder; raises as `run` does."""
    options = request.options
    model.thinning = _thinning(options)
    views = _load_views(request, model, recorder)
    tell_lenses(views, request.priors, screen)
    if options.upright == "auto":
        views = upright(
            views, photos=_larger_frames(options, views), seed=options.seed, recorder=recorder
        )
        tell_turned(views, screen)
    report = _report(options, model, recorder)
    # The plan can tell the time only if it knows how fast this machine is.
    measure_rates(model.config, model.device, choose_precision(options.precision, model.device))
    screen.say(f"{len(views)} photos or frames, on {report.device} in {report.precision}")
    scene = _reconstruct(request, views, model, recorder)
    tell_chunks(scene, screen)
    tell_passes(scene, screen)
    report = report.as_planned(recorder)
    if options.refine:
        scene = refine(
            scene,
            photos=_larger_frames(options, views),
            priors=request.priors,
            seed=options.seed,
            recorder=recorder,
        )
        tell_refinement(scene, screen)
    if request.priors is not None:
        tell_priors(scene, screen)
    _tell_left_out(scene, screen)
    with explained(options.output):
        problems = write_results(
            scene,
            report,
            options.output,
            request.formats,
            recorder,
            min_conf_percentile=options.min_conf_percentile,
        )
    scene.posed_views()
    refuse_problems(problems)
    remove_chunks(options.output)
    return scene


def _reconstruct(
    request: Request, views: Views, model: Fast3R, recorder: StageRecorder
) -> Reconstruction:
    """Return the scene as the network and what is known have it."""
    options = request.options
    if options.chunk_views is not None:
        return in_chunks(options, views, model, request.priors, recorder)
    if options.ensemble is not None:
        return in_passes(options, views, model, request.priors, recorder)
    return reconstruct(
        views,
        model,
        seed=options.seed,
        size=options.size,
        precision=options.precision,
        memory_gib=options.memory_gib,
        folder=options.output,
        share_focal=options.share_focal,
        priors=request.priors,
        keep_world=options.keep_world,
        recorder=recorder,
    )


def _check(options: Reconstruct, formats: list[str]) -> None:
    """Refuse what can be refused before anything heavy is loaded."""
    if not options.photos:
        raise ValueError("no photos were named: give a folder, image files, or a video")
    check_seed(options.seed)
    check_budget(options.memory_gib, options.chunk_views)
    check_chunks(options)
    check_ensemble(options)
    if not 0 <= options.min_conf_percentile <= 100:
        raise ValueError(
            f"--min-conf-percentile must lie in [0, 100], got {options.min_conf_percentile}"
        )
    if options.refine:
        import_pycolmap()
    check_removals(options.remove)
    sources = find_sources(options.photos)
    photos = [photo.path for photo in sources.photos]
    refuse_pictures_among_photos(formats, options.output, photos)
    check_writable(options.output)


def _thinning(options: Reconstruct) -> Thinning | None:
    """Return what fusion is to look at; None for everything."""
    if options.thin is None:
        return None
    if options.devices:
        raise ValueError("--thin works on one device only: leave out --thin or --devices")
    return Thinning(options.thin)


def _load_views(request: Request, model: Fast3R, recorder: StageRecorder) -> Views:
    options = request.options
    with recorder.stage("load photos") as tell:
        return load_views(
            options.photos,
            size=model.config.image_size if options.size is None else options.size,
            patch=model.patch,
            masks=options.masks,
            masks_keep=options.masks_keep,
            remove=options.remove,
            lenses=lenses_to_load(options, request.priors),
            fps=options.fps,
            num_frames=options.num_frames,
            progress=tell,
        )


def _larger_frames(options: Reconstruct, views: Views) -> Views | None:
    """Return the frames of videos at the size for features; photos are read again by themselves."""
    if not any(view.is_video_frame for view in views):
        return None
    larger = load_views(
        options.photos,
        size=FEATURE_SIDE_PX,
        patch=1,
        fps=options.fps,
        num_frames=options.num_frames,
    )
    return Views(view for view in larger if view.is_video_frame)


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
    screen.say_some(lost, more="more photos, see report.json")
