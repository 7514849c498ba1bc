"""`fast3r refine`: a saved scene in, the same with exact cameras out."""

from dataclasses import replace
from pathlib import Path

from fast3r.cli.options.refine import Refine
from fast3r.cli.output import check_writable, requested_formats
from fast3r.cli.priors import tell_priors
from fast3r.cli.saved import load_scene, refuse_among_own_photos, write_scene
from fast3r.cli.screen import Screen
from fast3r.scene.priors.reading import read_priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.features import import_pycolmap
from fast3r.scene.refinement.refine import refine
from fast3r.scene.report import prior_entries, refinement_entry
from fast3r.scene.stages import StageRecorder


def run(options: Refine) -> int:
    """Load the scene, refine it, write it, and print the output folder.

    Raises:
        ValueError: An option is wrong, or the scene is damaged.
        OSError: The scene cannot be read.
        ImportError: An extra is missing.
    """
    formats = requested_formats(("cameras", "ply", "npz", *options.format))
    import_pycolmap()
    priors = None if options.priors is None else read_priors(options.priors)
    with Screen(options.talk) as screen:
        recorder = StageRecorder(watcher=screen)
        scene = load_scene(options.scene, recorder)
        if options.photos is not None:
            scene = _at(scene, options.photos)
        refuse_among_own_photos(scene, formats, options.output)
        check_writable(options.output)
        scene = refine(
            scene,
            intrinsics=options.intrinsics,
            priors=priors,
            seed=options.seed,
            recorder=recorder,
        )
        tell_refinement(scene, screen)
        if priors is not None:
            tell_priors(scene, screen, record="refinement.json")
        record = {**(refinement_entry(scene) or {}), "priors": prior_entries(scene)}
        write_scene(scene, formats, options, recorder, records={"refinement.json": record})
    print(options.output)
    return 0


def tell_refinement(scene: Reconstruction, screen: Screen) -> None:
    """Say how many cameras were refined, how exact they are, and which were not, and why."""
    record = scene.refinement
    assert record is not None
    said = f"{record.refined} of {len(scene.views)} cameras refined"
    if record.parts > 1:
        said += f" in {record.parts} parts, which only the network ties together"
    if record.before_px is not None and record.after_px is not None:
        said += f"; median reprojection error {record.before_px:.2f} px before, "
        said += f"{record.after_px:.2f} px after"
    screen.say(said)
    rest = [
        f"{view.name} was not refined: {entry.reason}"
        for view, entry in zip(scene.views, record.views, strict=True)
        if entry.reason is not None
    ]
    screen.say_some(rest, more="more were not")


def _at(scene: Reconstruction, folder: Path) -> Reconstruction:
    """Return a scene whose views come from a folder.

    Raises:
        ValueError: None of them is there.
    """
    views = [replace(view, source=folder / view.name) for view in scene.views]
    if not any(view.source is not None and view.source.is_file() for view in views):
        raise ValueError(f"none of the scene's photos is in {folder}, such as {views[0].name}")
    return replace(scene, views=views)
