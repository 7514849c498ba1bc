"""The training loop: it learns, it goes on where it stopped, its data is given by the step."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.training.config import TrainingConfig
from fast3r.training.loop import Trainer
from fast3r.training.scenes import SceneStream

TINY = Fast3RConfig(
    encoder=EncoderConfig(width=32, depth=1, heads=2, patch=8, absolute_position=True),
    fusion=FusionConfig(width=32, depth=4, heads=2, alternate=True, absolute_position=True),
    head=HeadConfig(features=8, last_features=8, level_widths=(8, 8, 8, 8)),
)


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    return TrainingConfig(output=tmp_path, minutes=1, tokens_per_step=200)


def stream(config: TrainingConfig) -> SceneStream:
    return SceneStream(config, torch.device("cpu"), first_step=0, begun=0.0)


def test_scenes_are_given_by_the_step_alone(config: TrainingConfig) -> None:
    first, again = (stream(config).sample(3, 0.0) for _ in range(2))
    torch.testing.assert_close(first.images, again.images)
    assert not torch.equal(first.images[0, 0], stream(config).sample(4, 0.0).images[0, 0])


def test_later_stages_bring_larger_images(config: TrainingConfig) -> None:
    sizes = [stream(config).sample(1, share).images.shape[-2:].numel() for share in (0.0, 0.99)]
    assert sizes[1] > 2 * sizes[0]


def test_the_loss_falls_on_a_scene_seen_again_and_again(config: TrainingConfig) -> None:
    trainer = Trainer(config, TINY)
    trainer.spent_s = 10
    sample = stream(config).sample(0, 0.0)
    losses = [trainer.train_step(sample)[0].item() for _ in range(25)]
    assert losses[-1] < 0.7 * losses[0]


def test_a_stopped_run_goes_on_exactly(config: TrainingConfig) -> None:
    samples = [stream(config).sample(step, 0.0) for step in range(3)]
    whole = Trainer(config, TINY)
    figures = []
    for sample in samples:
        figures.append(whole.train_step(sample))
        whole.step += 1
        whole.spent_s += 1
        if whole.step == 2:
            whole.save()
    resumed = Trainer(config, TINY)
    assert (resumed.step, resumed.spent_s) == (2, 2)
    torch.testing.assert_close(resumed.train_step(samples[2]), figures[2])


def test_a_run_starts_from_the_weights_of_another(config: TrainingConfig, tmp_path: Path) -> None:
    first = Trainer(config, TINY)
    first.save()
    started = Trainer(
        replace(config, output=tmp_path / "second", start=tmp_path / "last.pt", seed=5), TINY
    )
    assert started.step == 0
    for name, value in started.model.state_dict().items():
        torch.testing.assert_close(value, first.model.state_dict()[name])
