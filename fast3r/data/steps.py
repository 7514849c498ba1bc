"""Training samples by the number of their step.

A stream is a pure function of its seed, the device's rank and the step, and of nothing else: not
of the process that asks, nor of what was asked before. A run that stops can go on anywhere, with
any number of workers, and sees what it would have seen.
"""

from collections.abc import Generator, Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from fast3r.cluster.signals import ignore_signals
from fast3r.data.config import Shape
from fast3r.data.sample import Sample


class Stream(Dataset[Sample]):
    """Training samples, each a whole batch of scenes, by their step; there is no last one."""

    run_length: int = 1
    """So many steps from a multiple of it on share work: one process should make them."""

    def __getitem__(self, step: int) -> Sample:
        """Return the sample of a step, the same one whenever and wherever it is asked for."""
        raise NotImplementedError


class StepLoader:
    """The samples of consecutive steps of a stream, made ahead by worker processes."""

    def __init__(
        self,
        stream: Stream,
        first_step: int,
        last_step: int,
        *,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        """Choose the steps from `first_step` up to, but without, `last_step`.

        Args:
            stream: Where the samples come from.
            first_step: Number of the first sample, not below 0.
            last_step: One more than the number of the last sample.
            workers: Processes that make samples; 0 makes them in this one when they are asked for.
            pin_memory: Whether to put samples where a GPU can fetch them while it computes.
        """
        assert 0 <= first_step <= last_step
        self.stream = stream
        self.steps = range(first_step, last_step)
        self.workers = workers
        self.pin_memory = pin_memory

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.steps)

    def __iter__(self) -> Generator[Sample, None, None]:
        """Yield the samples in order of their steps; closing it ends the worker processes."""
        loader = DataLoader(
            self.stream,
            batch_sampler=_runs(self.steps, self.stream.run_length),
            collate_fn=_as_it_is,
            worker_init_fn=ignore_signals,
            num_workers=self.workers,
            pin_memory=self.pin_memory,
            # A loader draws a seed for its workers, by default from the random numbers of training.
            generator=torch.Generator(),
        )
        for run in loader:
            yield from run


def dice_at(seed: int, *place: int) -> np.random.Generator:
    """Return the dice of a place, such as a step; those of two places have nothing in common."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))


def scenes_within(tokens: int, views: int, shape: Shape, patch: int) -> int:
    """Return how many scenes of so many views have at most so many patches; one at least."""
    return max(1, tokens // (views * count_patches(shape, patch)))


def count_patches(shape: Shape, patch: int) -> int:
    """Return the number of patches of a photo."""
    return (shape.height // patch) * (shape.width // patch)


def check_shapes(shapes: Sequence[Shape], views: int, patch: int, tokens: int | None) -> None:
    """Refuse shapes that the network cannot take, or of which the memory holds no scene.

    Args:
        shapes: Sizes of photos.
        views: Most views of a scene.
        patch: Side of the network's patches.
        tokens: Most patches of a step, if there is a limit.

    Raises:
        ValueError: A side is no multiple of the patch, or one scene has too many patches.
    """
    if not shapes:
        raise ValueError("at least one shape is needed, got none")
    for shape in shapes:
        if min(shape.height, shape.width) < patch or shape.height % patch or shape.width % patch:
            raise ValueError(f"sides must be multiples of the patch ({patch} px), got {shape}")
        patches = views * count_patches(shape, patch)
        if tokens is not None and patches > tokens:
            raise ValueError(
                f"tokens_per_step is {tokens}, but one scene of {views} views of {shape} px has "
                f"{patches}; raise it, or take fewer views or smaller shapes"
            )


def _runs(steps: range, length: int) -> Iterator[list[int]]:
    """Yield the steps in lists that end before every multiple of `length`."""
    start = steps.start
    while start < steps.stop:
        stop = min((start // length + 1) * length, steps.stop)
        yield list(range(start, stop))
        start = stop


def _as_it_is(run: list[Sample]) -> list[Sample]:
    return run
