"""`--ensemble` and `--upright`: several passes fused, and photos that lie on their side."""

import statistics

from fast3r.cli.options.reconstruct import SceneOptions
from fast3r.cli.screen import Screen
from fast3r.models.fast3r import Fast3R
from fast3r.scene.ensemble.run import MAX_PASSES, reconstruct_ensemble
from fast3r.scene.priors.types import Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.features import import_pycolmap
from fast3r.scene.stages import StageRecorder
from fast3r.views.turning import quarter_turns
from fast3r.views.view import Views

_CLOCKWISE = {1: "90 degrees clockwise", 2: "upside down", 3: "90 degrees counterclockwise"}


def check_ensemble(options: SceneOptions) -> None:
    """Refuse what does not go together.

    Raises:
        ValueError: The number of passes is out of range, or another option wants a single pass.
        ImportError: Photos are to be turned, and pycolmap is not installed.
    """
    if options.upright == "auto":
        import_pycolmap("--upright")
    if options.ensemble is None:
        return
    if not 2 <= options.ensemble <= MAX_PASSES:
        raise ValueError(
            f"--ensemble must be 2 to {MAX_PASSES} passes, got {options.ensemble}; leave it out "
            "for a single one"
        )
    if options.keep_world:
        raise ValueError("--keep-world shows what one pass says: leave it or --ensemble out")
    if options.chunk_views is not None:
        raise ValueError("--ensemble fuses passes over all photos: leave it or --chunk-views out")


def in_passes(
    options: SceneOptions,
    views: Views,
    model: Fast3R,
    priors: Priors | None,
    recorder: StageRecorder,
) -> Reconstruction:
    """Return the scene that several passes agree on; raises as `reconstruct_ensemble` does."""
    assert options.ensemble is not None
    return reconstruct_ensemble(
        views,
        model,
        passes=options.ensemble,
        seed=options.seed,
        size=options.size,
        precision=options.precision,
        memory_gib=options.memory_gib,
        share_focal=options.share_focal,
        priors=priors,
        recorder=recorder,
    )


def tell_passes(scene: Reconstruction, screen: Screen) -> None:
    """Say how well the passes agree."""
    told = scene.uncertainty
    if told is None:
        return
    cameras = [camera for camera in told.cameras if camera is not None]
    turns = [c.rotation_deg for c in cameras if c.rotation_deg is not None]
    places = [c.centre for c in cameras if c.centre is not None]
    line = f"{told.aligned} of {told.passes} passes agree on the scene"
    if turns and places:
        line += (
            f"; probable error of a camera {statistics.median(turns):.1f} deg and "
            f"{statistics.median(places):.2g} units"
        )
    screen.say(line)
    pairs = zip(scene.views, told.cameras, strict=True)
    few = [view.name for view, camera in pairs if camera and 2 * camera.agreeing < told.passes]
    if few:
        screen.say(f"fewer than half of the passes agree on {len(few)} photos, such as {few[0]}")


def tell_turned(views: Views, screen: Screen) -> None:
    """Name the photos that the network sees turned."""
    ways = [(view.name, quarter_turns(view)) for view in views]
    found = [f"{name} ({_CLOCKWISE[turns]})" for name, turns in ways if turns]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        screen.say(f"turned for the network: {', '.join(found[:3])}{more}")
