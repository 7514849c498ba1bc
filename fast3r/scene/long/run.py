"""Thousands of views, or a long video, by passes over chunks that overlap."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from fast3r.models.checkpoints import model_hash
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.scene.focals import ShareFocal
from fast3r.scene.long.chunking import Order, check_chunking, chunks_of
from fast3r.scene.long.focals import known_intrinsics
from fast3r.scene.long.joined import joined, link_chunks, link_loops
from fast3r.scene.long.passes import Passes
from fast3r.scene.long.work_folder import WorkFolder
from fast3r.scene.machine import Precision, choose_precision
from fast3r.scene.priors.applying import with_priors
from fast3r.scene.priors.types import Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import View


def reconstruct_long(
    views: Sequence[View],
    model: Fast3R,
    *,
    chunk_views: int,
    overlap: int,
    folder: Path | None = None,
    order: Order = "auto",
    close_loops: bool = True,
    seed: int = 0,
    size: int | None = None,
    precision: Literal["auto"] | Precision = "auto",
    chunks: Chunks | None = None,
    memory_gib: float | None = None,
    share_focal: ShareFocal = "camera",
    keep_world: bool = False,
    priors: Priors | None = None,
    recorder: StageRecorder | None = None,
) -> Reconstruction:
    """Return the cameras and the depth of more views than one pass can take.

    Each chunk is one pass, written to a file. Neighbours are aligned by what both see at the pixels
    of the views that they share; where the way comes back to a place, an extra pass over views of
    both ends closes the loop; a pose graph brings all into one world. Chunks that cannot be
    aligned are left out: their views have no cameras, and the reason is told.

    Args:
        views: From `fast3r.load_views`; decoded chunk by chunk where they are lazy.
        model: From `fast3r.load_model`.
        chunk_views: Views in one pass, at most.
        overlap: Views that neighbouring chunks share, at least.
        folder: Where passes and tensors go. A run that was stopped and is started again with the
            same folder goes on with the chunk where it was, and gives the same result. The tensors
            of the scene are read from there. By default a folder that is gone in the end.
        order: Which views make a chunk: "given" takes stretches of a video or a walk, "similarity"
            views that show the same, "auto" finds out whether neighbours do.
        close_loops: Look for places that the way comes back to.
        seed: Equal seeds give equal results.
        size: Long side in pixels at which the network sees the views, see `fast3r.reconstruct`.
        precision: Of encoder and fusion, see `fast3r.reconstruct`.
        chunks: How much is worked on at a time inside of one pass.
        memory_gib: Memory that one pass may take, see `fast3r.reconstruct`.
        share_focal: Which views have one focal length in common. It is found by an extra pass
            over views from the whole set; with "none" each pass finds its own.
        keep_world: Keep what the world head says beside the depth.
        priors: What is known. Intrinsics enter every pass, all else the joined scene.
        recorder: Measures the stages and tells of progress.

    Raises:
        ValueError: Options do not fit together, a prior cannot be true, or the folder holds passes
            over other views, of another model or with other options.
        OSError: The disk is full, or the folder cannot be written to.
        MemoryError: The device is too small for a chunk.
    """
    if not views:
        raise ValueError(
            "at least one view is needed, got none; load photos with fast3r.load_views"
        )
    check_chunking(chunk_views, overlap, order)
    size = model.config.image_size if size is None else size
    precision = choose_precision(precision, model.device)
    known = known_intrinsics(views, priors)
    options = {
        "chunk_views": chunk_views,
        "overlap": overlap,
        "order": order,
        "seed": seed,
        "size": size,
        "precision": precision,
        "share_focal": share_focal,
        "keep_world": keep_world,
        "known_intrinsics": _digest(known),
    }
    with _kept_or_temporary(folder) as place:
        passes = Passes(
            views,
            model,
            WorkFolder(place, model=model_hash(model), options=options),
            recorder or StageRecorder(model.device),
            seed=seed,
            size=size,
            precision=precision,
            chunks=chunks,
            memory_gib=memory_gib,
            share_focal=share_focal,
            keep_world=keep_world,
        )
        descriptors = passes.look()
        plan = chunks_of(descriptors, chunk_views=chunk_views, overlap=overlap, order=order)
        passes.find_intrinsics(known, chunk_views)
        passes.over_chunks(plan.chunks)
        links = link_chunks(passes, plan)
        if close_loops:
            links += link_loops(passes, plan, links, descriptors)
        scene = joined(passes, plan, links)
    if priors is None:
        return scene
    # Intrinsics are in every pass already, and cannot be off from themselves.
    return with_priors(scene, replace(priors, intrinsics=None), seed=seed)


def _digest(known: Mapping[int, Float[Tensor, "3 3"]]) -> str | None:
    """Return 16 hexadecimal digits that change with what is known."""
    if not known:
        return None
    text = repr([(index, matrix.tolist()) for index, matrix in sorted(known.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield Path(folder)
        return
    place = Path(tempfile.mkdtemp(prefix="fast3r-long-"))
    try:
        yield place
    finally:
        # What is mapped stays readable without its name, except on Windows, where this is refused.
        shutil.rmtree(place, ignore_errors=True)
