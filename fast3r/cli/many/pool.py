"""Scenes made at the same time, by processes of this machine that take the devices in turn."""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import torch

from fast3r.cli.many.outcome import Outcome
from fast3r.cli.many.worker import loaded_model, make
from fast3r.cli.options.reconstruct import Reconstruct, SceneOptions

_own: list[SceneOptions] = []
"""In a process of a pool: the options of all scenes, with the device of this process."""


@contextmanager
def made_in_processes(
    scenes: Sequence[Reconstruct], output: Path, options: SceneOptions, *, processes: int
) -> Iterator[Iterator[Outcome]]:
    """Give what becomes of scenes, in the order in which they are done.

    Each process loads the model once. With `device` "auto" or "cuda" they take the CUDA devices
    in turn. When the block ends early, the scenes at hand are made to the end and no others.

    Raises:
        MemoryError: A process was killed.
    """
    context = get_context("spawn")  # CUDA does not survive a fork
    turns: SimpleQueue[SceneOptions] = context.SimpleQueue()
    for turn in range(processes):
        turns.put(_for_turn(options, turn))
    threads = max(1, torch.get_num_threads() // processes)
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin, initargs=(turns, threads)
    )
    try:
        futures = [pool.submit(_make, scene, output) for scene in scenes]
        yield _results(futures)
    finally:
        pool.shutdown(cancel_futures=True)


def _for_turn(options: SceneOptions, turn: int) -> SceneOptions:
    count = torch.cuda.device_count()
    if options.device in ("auto", "cuda") and count > 0:
        return replace(options, device=f"cuda:{turn % count}")
    return options


def _begin(turns: "SimpleQueue[SceneOptions]", threads: int) -> None:
    # Ctrl-C reaches all processes, and the one that leads says so for all.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(threads)
    _own.append(turns.get())


def _make(scene: Reconstruct, output: Path) -> Outcome:
    return make(scene, output, loaded_model(_own[0]))


def _results(futures: "list[Future[Outcome]]") -> Iterator[Outcome]:
    try:
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise MemoryError(
            "a process that made scenes ended, as it does when memory runs out: use fewer "
            "--jobs; the same command goes on with what is not finished"
        ) from error
