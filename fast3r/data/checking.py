"""Reading a dataset from end to end, to find what training would stumble over."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from fast3r.data.dataset import Dataset
from fast3r.data.frame import BrokenFrameError

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Finding:
    """What became of reading one frame, or of a scene as a whole."""

    scene: str
    """Name of the scene."""

    frame: str | None
    """Name of the frame; None: the scene's index was read and frames were drawn."""

    reason: str | None
    """Why it cannot be used; None: it can."""

    scenes_done: int
    """How many scenes come before this one."""


def check_dataset(
    dataset: Dataset, *, frames: int | None = None, seed: int = 0, threads: int = 8
) -> Iterator[Finding]:
    """Read frames and draw from scenes; yield what became of each, scene by scene.

    Args:
        dataset: What to check.
        frames: How many frames to read, spread evenly over the scenes; None: all.
        seed: Of the choice among scenes and frames, and of the draws.
        threads: Frames read at the same time.
    """
    counts = _frames_per_scene(len(dataset.scenes), frames, np.random.default_rng((seed, 0)))
    chosen = [
        (scene, count) for scene, count in zip(dataset.scenes, counts, strict=True) if count != 0
    ]
    return _in_parallel(partial(_check, dataset), _jobs(dataset, chosen, seed), threads)


@dataclass(frozen=True)
class _Job:
    """A frame to read, or without one: a scene to draw from; or what is known to be wrong."""

    scene: str
    place: int
    seed: int
    frame: str | None = None
    reason: str | None = None


def _frames_per_scene(
    scenes: int, frames: int | None, dice: np.random.Generator
) -> list[int | None]:
    """Return how many frames to read of each scene; None: all."""
    if frames is None:
        return [None] * scenes
    each, rest = divmod(frames, scenes)
    counts = np.full(scenes, each)
    counts[dice.permutation(scenes)[:rest]] += 1
    return counts.tolist()


def _jobs(dataset: Dataset, chosen: list[tuple[str, int | None]], seed: int) -> Iterator[_Job]:
    for place, (scene, count) in enumerate(chosen):
        try:
            names = dataset.frames(scene)
        except BrokenFrameError as error:
            yield _Job(scene, place, seed, reason=str(error))
            continue
        yield _Job(scene, place, seed)
        places = range(len(names))
        if count is not None and count < len(names):
            dice = np.random.default_rng((seed, 1, place))
            places = sorted(dice.choice(len(names), count, replace=False).tolist())
        for number in places:
            yield _Job(scene, place, seed, frame=names[number])


def _check(dataset: Dataset, job: _Job) -> Finding:
    reason = job.reason
    try:
        if reason is None and job.frame is None:
            dataset.draw(job.scene, 2, np.random.default_rng((job.seed, 2, job.place)))
        elif job.frame is not None:
            dataset.read(job.scene, job.frame)
    except BrokenFrameError as error:
        reason = str(error)
    return Finding(job.scene, job.frame, reason, job.place)


def _in_parallel(
    function: Callable[[_In], _Out], items: Iterable[_In], threads: int
) -> Iterator[_Out]:
    """Yield what the function makes of each item, in order; few items are held at a time.

    Whoever stops listening, or is interrupted, waits for no more than what is being worked on.
    """
    pool = ThreadPoolExecutor(threads)
    pending: deque[Future[_Out]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            while pending and (pending[0].done() or len(pending) > 4 * threads):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
