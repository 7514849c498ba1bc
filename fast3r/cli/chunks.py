"""Chunks of views on the command line: a folder to go on from, and what became of them."""

import shutil
from pathlib import Path

from fast3r.cli.options.reconstruct import Reconstruct
from fast3r.cli.screen import Screen
from fast3r.models.fast3r import Fast3R
from fast3r.scene.long.chunking import check_chunking
from fast3r.scene.long.run import reconstruct_long
from fast3r.scene.priors.types import Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import Views

_SHOWN = 3
"""Chunks left out that are named on the screen; the report names all."""

_OVERLAP = 4
"""By default a chunk shares one in so many of its views with the next one."""


def check_chunks(options: Reconstruct) -> None:
    """Make sure that chunks can be joined.

    Raises:
        ValueError: They cannot, or --overlap is given without --chunk-views.
    """
    if options.chunk_views is not None:
        check_chunking(options.chunk_views, _overlap(options), options.chunk_order)
    elif options.overlap is not None:
        raise ValueError("--overlap is for --chunk-views, which is not given")


def in_chunks(
    options: Reconstruct,
    views: Views,
    model: Fast3R,
    priors: Priors | None,
    recorder: StageRecorder,
) -> Reconstruction:
    """Return the scene made of chunks, each of which is kept in the output folder until the end.

    Raises:
        ValueError: The folder holds chunks of something else.
    """
    assert options.chunk_views is not None
    return reconstruct_long(
        views,
        model,
        chunk_views=options.chunk_views,
        overlap=_overlap(options),
        folder=_folder(options.output),
        order=options.chunk_order,
        seed=options.seed,
        size=options.size,
        precision=options.precision,
        memory_gib=options.memory_gib,
        share_focal=options.share_focal,
        keep_world=options.keep_world,
        priors=priors,
        recorder=recorder,
    )


def remove_chunks(output: Path) -> None:
    """Remove what a finished run needs no more."""
    shutil.rmtree(_folder(output), ignore_errors=True)


def tell_chunks(scene: Reconstruction, screen: Screen) -> None:
    """Say how the chunks of a scene fit together, if it has any."""
    record = scene.long
    if record is None:
        return
    joined = sum(chunk.joined for chunk in record.chunks)
    loops = [link for link in record.links if link.kind == "loop"]
    screen.say(
        f"{joined} of {len(record.chunks)} chunks of up to {record.chunk_views} views joined; "
        f"{sum(link.kept for link in loops)} of {len(loops)} likely loops closed"
    )
    lost = [
        f"chunk {index} ({chunk.first} to {chunk.last}) was left out: {chunk.reason}"
        for index, chunk in enumerate(record.chunks)
        if not chunk.joined
    ]
    screen.say_some(lost, more="more chunks, see report.json", most=_SHOWN)


def _overlap(options: Reconstruct) -> int:
    if options.overlap is not None:
        return options.overlap
    assert options.chunk_views is not None
    return max(options.chunk_views // _OVERLAP, 2)


def _folder(output: Path) -> Path:
    return output / "chunks"
