"""Samples for training and validation, each given by its number, and the wait for them."""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice

import torch

from fast3r.data.config import Stage
from fast3r.data.mixture import open_mixture
from fast3r.data.procedural.stream import ProceduralStream
from fast3r.data.sample import Sample
from fast3r.data.steps import StepLoader, Stream
from fast3r.data.stream import SampleStream
from fast3r.training.config import DataConfig, TrainingConfig
from fast3r.training.progress import Progress

_VALIDATION_SEED = 2**40
"""Of the scenes of every run's validation; `TrainingConfig` refuses it for training."""

_FOR_EVER = 2**40
"""More steps than any run takes."""


def share_by_steps(sample: int, *, samples: int) -> float:
    """Return the share of a run of so many samples that is done at one: nothing else decides it."""
    return min(1.0, sample / samples)


def share_by_clock(_sample: int, *, minutes: float, begun_s: float) -> float:
    """Return the share of a run's time that is spent now, in any process of this machine.

    Args:
        minutes: Length of the run.
        begun_s: When it would have begun, had it run without a break, by `time.monotonic`.
    """
    return min(1.0, (time.monotonic() - begun_s) / (60 * minutes))


def _at_the_end(_sample: int) -> float:
    return 1.0


def open_stream(
    data: DataConfig,
    *,
    seed: int,
    share_of_step: Callable[[int], float],
    patch: int,
    rank: int,
    device: torch.device | str = "cpu",
) -> Stream:
    """Return the samples that a configuration describes.

    Raises:
        ValueError: A dataset is not where or what it should be, or shapes do not fit the model.
    """
    data = with_views(data)
    if data.rendered is not None:
        own = data.workers == 0 and data.render_on == "trainer"
        return ProceduralStream(
            data.rendered,
            seed=seed,
            share_of_step=share_of_step,
            patch=patch,
            rank=rank,
            device=device if own else "cpu",
        )
    assert data.photos is not None
    mixture = open_mixture(data.photos.sources)
    return SampleStream(data.photos, mixture, seed=seed, patch=patch, rank=rank)


def with_views(data: DataConfig) -> DataConfig:
    """Return data whose numbers of views are those of `data.views`, where it is given."""
    if data.views is None:
        return data
    low, high = data.views
    if data.photos is not None:
        return replace(data, photos=replace(data.photos, min_views=low, max_views=high))
    assert data.rendered is not None
    *early, last = data.rendered.stages
    stages = [_between(stage, low, min(high, max(stage.views))) for stage in early]
    stages.append(_between(last, low, high))
    return replace(data, rendered=replace(data.rendered, stages=tuple(stages)))


def _between(stage: Stage, low: int, high: int) -> Stage:
    return replace(stage, views=tuple(range(min(low, high), high + 1)))


class TrainingFeed:
    """The samples from where a run stands up to the next validation, again and again."""

    def __init__(
        self, config: TrainingConfig, progress: Progress, *, rank: int, device: torch.device
    ) -> None:
        """Open the data.

        Raises:
            ValueError: See `open_stream`.
        """
        self.config = config
        self.progress = progress
        self.device = device
        self.waited = Waiting(device)
        self.stream = open_stream(
            config.data,
            seed=config.seed,
            share_of_step=self._share(),
            patch=config.model.encoder.patch,
            rank=rank,
            device=device,
        )
        self._samples: Generator[Sample, None, None] | None = None
        self._next = -1

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples up to the next validation, or to the end of the run."""
        every, accumulate = self.config.validation.every_steps, self.config.accumulate
        first = self.progress.step
        last = (first // every + 1) * every
        if self.config.steps is not None:
            last = min(last, self.config.steps)
        if self._next != first * accumulate:
            self._next = first * accumulate
            self._samples = iter(self._loader())
        assert self._samples is not None
        for sample in self.waited.timed(islice(self._samples, max(0, last - first) * accumulate)):
            self._next += 1
            yield sample

    def close(self) -> None:
        """End the processes that make samples ahead.

        They ignore the signal by which Python would end them at its own exit.
        """
        if self._samples is not None:
            self._samples.close()
            self._samples = None

    def _loader(self) -> StepLoader:
        """Return all samples from here on, so that workers go on while a model is validated."""
        steps = _FOR_EVER if self.config.steps is None else self.config.steps
        return StepLoader(
            self.stream,
            self._next,
            max(self._next, steps * self.config.accumulate),
            workers=self.config.data.workers,
            pin_memory=self.device.type == "cuda" and self.config.data.photos is not None,
        )

    def _share(self) -> Callable[[int], float]:
        if self.config.steps is not None:
            return partial(share_by_steps, samples=self.config.steps * self.config.accumulate)
        assert self.config.minutes is not None
        begun_s = time.monotonic() - self.progress.spent_s
        return partial(share_by_clock, minutes=self.config.minutes, begun_s=begun_s)


class Waiting:
    """Adds up how long a device had nothing to train on."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._marks: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._host_s = 0.0

    def timed(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """Yield the samples, and take the time of each."""
        while True:
            begun = time.perf_counter()
            marks = self._mark(), self._mark()
            try:
                sample = next(samples)
            except StopIteration:
                return
            finally:
                self._host_s += time.perf_counter() - begun
            if marks[0] is not None and marks[1] is not None:
                marks[1].record()
                self._marks.append((marks[0], marks[1]))
            yield sample

    def take_s(self) -> float:
        """Return the time since the last call; the device must have done all that it was given.

        What is rendered on a GPU takes its time there while the host goes on, so that the longer
        of the two counts.
        """
        on_gpu_s = sum(start.elapsed_time(end) for start, end in self._marks) / 1000
        waited = max(self._host_s, on_gpu_s)
        self._marks, self._host_s = [], 0.0
        return waited

    def _mark(self) -> torch.cuda.Event | None:
        if not self._on_gpu:
            return None
        mark = torch.cuda.Event(enable_timing=True)
        mark.record()
        return mark


def validation_samples(config: TrainingConfig, *, rank: int, device: torch.device) -> StepLoader:
    """Return the samples of a validation: the same in every run of equal data.

    Without data of its own, rendered scenes come from the last stage of training with seeds that
    it never uses; photos from the scenes that are trained on, drawn otherwise.
    """
    data = config.validation.data or config.data
    if data.rendered is not None:
        last = replace(data.rendered.stages[-1], until=1.0)
        data = replace(data, rendered=replace(data.rendered, stages=(last,)))
    stream = open_stream(
        data,
        seed=_VALIDATION_SEED,
        share_of_step=_at_the_end,
        patch=config.model.encoder.patch,
        rank=rank,
        device=device,
    )
    return StepLoader(stream, 0, config.validation.batches, workers=min(1, data.workers))


def first_scenes(sample: Sample, count: int) -> Sample:
    """Return the first scenes of a sample."""
    return Sample(**{name: part[:count] for name, part in vars(sample).items()})
