"""What is trained on follows from the place in the run, and from nothing else."""

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from fast3r.data.config import PhotoConfig
from fast3r.data.sample import Sample
from fast3r.training.config import DataConfig, TrainingConfig
from fast3r.training.feed import (
    TrainingFeed,
    Waiting,
    first_scenes,
    share_by_clock,
    share_by_steps,
    validation_samples,
    with_views,
)
from fast3r.training.progress import Progress
from tests.training.tiny import plane_sample, tiny_config

CPU = torch.device("cpu")


def feed(config: TrainingConfig, *, step: int = 0, rank: int = 0) -> TrainingFeed:
    progress = Progress(config.steps, config.minutes)
    progress.step = step
    return TrainingFeed(config, progress, rank=rank, device=CPU)


def test_an_epoch_ends_where_a_validation_is_due(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "steps=5", "validation.every_steps=3", "accumulate=2")
    data = feed(config)
    counts = []
    while data.progress.step < 5:
        count = len(list(data))
        data.progress.step += count // 2
        counts.append(count)
    assert counts == [6, 4]
    assert list(data) == []


def test_a_feed_goes_on_where_a_run_stood(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "steps=6", "validation.every_steps=4")
    whole = [sample.images for sample in feed(config)]
    later = [sample.images for sample in feed(config, step=2)]
    assert len(whole) == 4
    assert all(torch.equal(a, b) for a, b in zip(whole[2:], later, strict=True))


def test_processes_that_make_samples_outlive_the_signals_of_a_cluster(tmp_path: Path) -> None:
    data = feed(tiny_config(tmp_path, "steps=8", "data.workers=1"))
    samples = iter(data)
    next(samples)
    for worker in multiprocessing.active_children():
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGTERM)
    assert len(list(samples)) == 7
    data.close()


def test_devices_see_different_scenes(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "steps=1")
    first, second = (next(iter(feed(config, rank=rank))) for rank in (0, 1))
    assert first.images.shape == second.images.shape
    assert not torch.equal(first.images, second.images)


def test_validation_is_the_same_in_every_run_and_never_trained_on(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "seed=1", "validation.batches=1")
    other = tiny_config(tmp_path, "seed=2", "validation.batches=1")
    (one,), (two,) = (list(validation_samples(c, rank=0, device=CPU)) for c in (config, other))
    assert torch.equal(one.images, two.images)
    assert not torch.equal(one.images, next(iter(feed(config))).images)


def test_shares_follow_steps_or_the_clock() -> None:
    assert [share_by_steps(n, samples=4) for n in (0, 1, 4, 9)] == [0, 0.25, 1, 1]
    clock = partial(share_by_clock, minutes=2.0, begun_s=time.monotonic() - 60)
    assert pickle.loads(pickle.dumps(clock))(7) == pytest.approx(0.5, abs=0.01)


def test_given_numbers_of_views_replace_those_of_the_data(tmp_path: Path) -> None:
    stages = (
        "data.rendered.stages=[{until:0.5,shapes:[{height:32,width:40}],views:[2,3],difficulty:[0,1]},"
        "{until:1.0,shapes:[{height:32,width:40}],views:[4],difficulty:[0,1]}]"
    )
    rendered = with_views(tiny_config(tmp_path, stages, "data.views=[2,6]").data).rendered
    assert rendered is not None
    assert [stage.views for stage in rendered.stages] == [(2, 3), (2, 3, 4, 5, 6)]
    photos = with_views(DataConfig(photos=PhotoConfig(), views=(3, 5))).photos
    assert photos is not None
    assert (photos.min_views, photos.max_views) == (3, 5)


def test_the_wait_is_the_time_that_samples_took() -> None:
    def slowly() -> Iterator[Sample]:
        for _ in range(2):
            time.sleep(0.05)
            yield plane_sample(0)

    waiting = Waiting(CPU)
    assert len(list(waiting.timed(slowly()))) == 2
    assert waiting.take_s() >= 0.1
    assert waiting.take_s() == 0


def test_first_scenes_are_whole_scenes() -> None:
    sample = plane_sample(0)
    twice = type(sample)(*(torch.cat((part, part + part)) for part in vars(sample).values()))
    found = first_scenes(twice, 1)
    for part, wanted in zip(vars(found).values(), vars(sample).values(), strict=True):
        torch.testing.assert_close(part, wanted)
