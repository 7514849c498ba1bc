"""`fast3r mask`: photos in, masks out, found automatically or painted."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from fast3r.cli.limits import check_port
from fast3r.cli.options.mask import Mask
from fast3r.cli.output import check_writable, explained
from fast3r.cli.screen import Screen
from fast3r.scene.stages import StageRecorder
from fast3r.scene.staging import staging
from fast3r.views.load import load_views
from fast3r.views.masking.files import mask_file, write_mask
from fast3r.views.masking.removal import check_removals, removed
from fast3r.views.view import Views
from fast3r.viz.painting import import_gradio, serve_painting

_SIZE_PX = 1024
"""Long side at which parts are looked for and painted."""

_LAZY_ABOVE = 20
"""Photos of that size take 2 MB each."""


def run(options: Mask) -> int:
    """Write masks and print their folder, or print the address of a page to paint them on.

    Raises:
        ValueError: An option is wrong, there is nothing to read, or masks would be lost.
        OSError: Something cannot be read, or the address is unknown or taken.
        ImportError: An extra is missing.
    """
    check_removals(options.remove)
    check_port(options.port)
    if not options.remove:
        import_gradio()
    check_writable(options.output)
    with Screen(options.talk) as screen:
        recorder = StageRecorder(watcher=screen)
        views = _load(options, recorder)
        for photo in views.skipped:
            screen.say(f"{photo.name} was not used: {photo.reason}")
        _refuse_photos_as_masks(options.output, views)
        if options.remove:
            _refuse_to_replace(options.output, views)
            _write(options, views, screen, recorder)
    if options.remove:
        print(options.output)
        return 0
    with suppress(KeyboardInterrupt):  # The usual way to leave.
        serve_painting(
            views,
            options.output,
            host=options.host,
            port=options.port,
            tell=lambda address: print(address, flush=True),
        )
    return 0


def _load(options: Mask, recorder: StageRecorder) -> Views:
    with recorder.stage("load photos") as tell:
        return load_views(
            options.photos,
            size=_SIZE_PX,
            patch=1,
            fps=options.fps,
            num_frames=options.num_frames,
            lazy_above=_LAZY_ABOVE,
            progress=tell,
        )


def _refuse_photos_as_masks(output: Path, views: Views) -> None:
    folders = {view.source.parent.resolve() for view in views if view.source is not None}
    if output.resolve() in folders:
        raise ValueError(f"masks need a folder of their own, and {output} holds photos")
    faces = [view.name for view in views if view.face is not None]
    if faces:
        raise ValueError(
            f"masks of panoramas are drawn on the whole picture, with any program for pictures; "
            f"{faces[0]} is part of one. 'reconstruct --remove' looks at each part by itself"
        )


def _refuse_to_replace(output: Path, views: Views) -> None:
    there = [path for view in views if (path := mask_file(output, view.name)).exists()]
    if there:
        raise ValueError(
            f"{output} holds masks already, such as {there[0].name}, which would be lost; "
            "name another --output, or correct them without --remove"
        )


def _write(options: Mask, views: Views, screen: Screen, recorder: StageRecorder) -> None:
    what = ", ".join(options.remove)
    shares = []
    with (
        explained(options.output),
        staging(options.output) as stage,
        recorder.stage(f"find {what}") as tell,
    ):
        for view, gone in zip(views, removed(views, options.remove), strict=True):
            write_mask(view, gone, mask_file(stage, view.name))
            shares.append(gone.mean())
            tell(len(shares), len(views))
    found = np.array(shares) > 0
    screen.say(
        f"{what}: in {found.sum()} of {len(views)} photos, {np.mean(shares):.0%} of their pixels"
    )
