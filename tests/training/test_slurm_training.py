"""Training that a cluster interrupts ends with the weights of training that it does not."""

import os
import signal
from dataclasses import dataclass, replace
from unittest import mock

import pytest
import submitit
import torch

from fast3r.data.sample import Sample
from fast3r.training.callbacks import last_checkpoint
from fast3r.training.compose import compose
from fast3r.training.config import TrainingConfig
from fast3r.training.module import TrainingModule
from fast3r.training.run import train
from fast3r.training.slurm import ResumableJob


@dataclass(frozen=True)
class Training:
    """Training that sends itself a signal in its first life."""

    config: TrainingConfig

    def __call__(self) -> None:
        first_life = not last_checkpoint(self.config.output).exists()
        begin = TrainingModule.on_train_batch_start

        def strike(module: TrainingModule, batch: Sample, batch_idx: int) -> None:
            if first_life and module.progress.step == 3:
                os.kill(os.getpid(), signal.SIGUSR2)
            begin(module, batch, batch_idx)

        with mock.patch.object(TrainingModule, "on_train_batch_start", strike):
            train(self.config, quiet=True)


@pytest.mark.slow
def test_training_that_was_queued_again_ends_with_the_same_weights(tmp_path) -> None:
    config = compose(
        ["preset=smoke", "steps=8", "validation.every_steps=5", "validation.batches=1"]
    )
    whole = replace(config, output=tmp_path / "whole")
    parts = replace(config, output=tmp_path / "parts")
    train(whole, quiet=True)
    executor = submitit.LocalExecutor(tmp_path / "jobs")
    job = executor.submit(ResumableJob(Training(parts)))
    job.result()
    assert str(job.stdout()).count("Requeued job") == 1
    found, wanted = (
        torch.load(last_checkpoint(run.output), weights_only=False)["state_dict"]
        for run in (parts, whole)
    )
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
