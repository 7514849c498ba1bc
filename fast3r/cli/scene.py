"""`fast3r scene`: a saved scene in; it grown, smaller, merged or aligned out."""

from collections.abc import Sequence

import torch

from fast3r.cli.limits import check_seed
from fast3r.cli.options.scene import (
    AddToScene,
    AlignScene,
    Changed,
    LocalizeInScene,
    MergeScenes,
    RemoveFromScene,
    SceneCommand,
)
from fast3r.cli.output import check_writable, explained, requested_formats
from fast3r.cli.saved import load_scene, write_records, write_scene
from fast3r.cli.scene_records import Record, added_entry, localized_entry, merged_entry
from fast3r.cli.screen import Screen
from fast3r.export.formats import write_formats
from fast3r.models.checkpoints import load_model
from fast3r.models.fast3r import Fast3R
from fast3r.scene.living.adding import add
from fast3r.scene.living.aligning import align_scene
from fast3r.scene.living.localizing import Localization, localize
from fast3r.scene.living.merging import Merged, NeedsModelError, merge
from fast3r.scene.living.removing import remove
from fast3r.scene.machine import choose_device
from fast3r.scene.priors.types import Distance, Spot
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.views.load import load_views
from fast3r.views.view import Views


def run(options: SceneCommand) -> int:
    """Change the scene as asked, write it, and print the output folder.

    Raises:
        ValueError: An option is wrong, a scene is damaged, or what was asked for cannot be done.
        OSError: Something cannot be read.
        ImportError: An extra is missing.
    """
    further = options.format if isinstance(options, Changed) else ()
    formats = requested_formats(("cameras", "ply", "npz", *further))
    check_writable(options.output)
    with Screen(options.talk) as screen:
        recorder = StageRecorder(watcher=screen)
        if isinstance(options, LocalizeInScene):
            _localize(options, screen, recorder)
        else:
            scene, records = _changed(options, screen, recorder)
            write_scene(scene, formats, options, recorder, records=records)
    print(options.output)
    return 0


def _changed(
    options: Changed, screen: Screen, recorder: StageRecorder
) -> tuple[Reconstruction, Record]:
    """Return the new scene, and what became of it, by the name of the file for that."""
    scene = load_scene(options.scene, recorder)
    if isinstance(options, AddToScene):
        return _add(scene, options, screen, recorder)
    if isinstance(options, MergeScenes):
        return _merge(scene, options, screen, recorder)
    if isinstance(options, RemoveFromScene):
        rest = remove(scene, options.names)
        screen.say(f"{len(rest.views)} of {len(scene.views)} photos stay")
        return rest, {}
    assert isinstance(options, AlignScene)
    return _align(scene, options, screen), {}


def _model_and_photos(
    options: AddToScene | LocalizeInScene, recorder: StageRecorder
) -> tuple[Fast3R, Views]:
    model = _model(options, recorder)
    with recorder.stage("load photos") as tell:
        views = load_views(
            options.photos,
            size=model.config.image_size if options.size is None else options.size,
            patch=model.patch,
            masks=options.masks,
            progress=tell,
        )
    return model, views


def _model(options: AddToScene | LocalizeInScene | MergeScenes, recorder: StageRecorder) -> Fast3R:
    check_seed(options.seed)
    with recorder.stage("load model"):
        return load_model(options.model, device=str(choose_device(options.device)))


def _add(
    scene: Reconstruction, options: AddToScene, screen: Screen, recorder: StageRecorder
) -> tuple[Reconstruction, Record]:
    model, views = _model_and_photos(options, recorder)
    added = add(
        scene,
        views,
        model,
        references=options.references or None,
        max_references=options.max_references,
        exact=options.exact,
        seed=options.seed,
        size=options.size,
        precision=options.precision,
        recorder=recorder,
    )
    screen.say(f"{len(added.placed)} of {len(views)} photos found their place")
    lost = [f"{p.name} was {p.outcome}: {p.reason}" for p in added.photos if p.reason is not None]
    screen.say_some(lost)
    if not added.placed:
        raise ValueError(f"no photo was added; {lost[0]}")
    return added.scene, {"added.json": {"photos": [added_entry(p) for p in added.photos]}}


def _localize(options: LocalizeInScene, screen: Screen, recorder: StageRecorder) -> None:
    scene = load_scene(options.scene, recorder)
    model, views = _model_and_photos(options, recorder)
    found = localize(
        scene,
        views,
        model,
        references=options.references or None,
        max_references=options.max_references,
        exact=options.exact,
        seed=options.seed,
        size=options.size,
        precision=options.precision,
        recorder=recorder,
    )
    placed = [place for place in found if place.camera is not None]
    screen.say(f"{len(placed)} of {len(found)} photos were found")
    screen.say_some([str(place) for place in found])
    record = {"photos": [localized_entry(place) for place in found]}
    with explained(options.output):
        write_formats(_photos_alone(scene, found), options.output, ["cameras"])
        write_records({"localized.json": record}, options.output)
    if not placed:
        raise ValueError(f"no photo was found; {found[0].view.name}: {found[0].reason}")


def _photos_alone(scene: Reconstruction, found: Sequence[Localization]) -> Reconstruction:
    """Return the cameras that were found as a scene, in the same world, without depth."""
    nothing = [torch.zeros(place.view.height, place.view.width) for place in found]
    return Reconstruction(
        views=[place.view for place in found],
        cameras=[place.camera for place in found],
        depth=nothing,
        confidence=nothing,
        failures=[place.reason for place in found],
        skipped=[],
        scale=scene.scale,
        world=scene.world,
    )


def _merge(
    scene: Reconstruction, options: MergeScenes, screen: Screen, recorder: StageRecorder
) -> tuple[Reconstruction, Record]:
    other = load_scene(options.other, recorder)
    try:
        merged = merge(scene, other, seed=options.seed, recorder=recorder)
    except NeedsModelError:
        merged = merge(
            scene,
            other,
            _model(options, recorder),
            seed=options.seed,
            size=options.size,
            precision=options.precision,
            recorder=recorder,
        )
    _tell_merged(merged, screen)
    return merged.scene, {"merged.json": merged_entry(merged)}


def _tell_merged(merged: Merged, screen: Screen) -> None:
    by = (
        f"a pass over {len(merged.bridge)} photos of both"
        if merged.bridge
        else (f"{len(merged.shared)} photos that both scenes have")
    )
    agreeing = " and ".join(f"{joint.inlier_ratio:.0%}" for joint in merged.joints)
    screen.say(f"joined by {by}; {agreeing} of the points agree")
    screen.say(f"{len(merged.scene.views)} photos, {len(merged.scene.registered)} with cameras")
    screen.say_some([f"{old} is now called {new}" for old, new in merged.renamed.items()])
    screen.say_some(list(map(str, merged.checks)))


def _align(scene: Reconstruction, options: AlignScene, screen: Screen) -> Reconstruction:
    distances = [
        Distance(metres, (_end(first), _end(second))) for first, second, metres in options.distance
    ]
    aligned = align_scene(
        scene, up=options.up, distances=distances, origin=options.origin, seed=options.seed
    )
    known, scale = aligned.world.axes, aligned.scale
    screen.say(f"axes: {known}; scale: {scale.kind} ({scale.source})")
    screen.say_some(list(map(str, aligned.prior_checks)))
    return aligned


def _end(text: str) -> Spot | str:
    """Return a point as options tell it: NAME for a camera, NAME:X,Y for a pixel."""
    name, colon, pixel = text.rpartition(":")
    if not colon:
        return text
    try:
        x, y = map(float, pixel.split(","))
    except ValueError:
        raise ValueError(
            f"--distance: {text!r} is no point; write NAME:X,Y with a pixel of the original photo, "
            "or NAME for where the camera stood"
        ) from None
    return Spot(name, (x, y))
