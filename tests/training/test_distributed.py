"""Several processes train as one: equal weights in all, and the mean of their gradients."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fast3r.data.steps import dice_at
from fast3r.models.fast3r import Fast3R
from fast3r.training.callbacks import last_checkpoint
from fast3r.training.config import TrainingConfig
from fast3r.training.feed import TrainingFeed
from fast3r.training.objective import Objective
from fast3r.training.progress import Progress
from tests.training.tiny import TINY, tiny_config

REPOSITORY = Path(__file__).parents[2]
OPTIONS = ("optimizer.clip_norm=null", "optimizer.warmup=0", "hardware.devices=2")


def run(folder: Path, *options: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights that two processes end with."""
    arguments = [*TINY, *OPTIONS, f"output={folder}", *options]
    subprocess.run(
        [sys.executable, "-m", "tests.training.two_processes", str(folder), *arguments],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if "RANK" not in name},
        check=True,
        timeout=120,
    )
    first, second = (torch.load(folder / f"rank{rank}.pt") for rank in (0, 1))
    return first, second


def mean_gradient(config: TrainingConfig) -> dict[str, Tensor]:
    """Return the gradient of the first step, computed here for one process after the other."""
    torch.manual_seed(config.seed)
    model = Fast3R(config.model)
    objective = Objective(config.loss, model)
    for rank in (0, 1):
        progress = Progress(config.steps, config.minutes)
        feed = TrainingFeed(config, progress, rank=rank, device=torch.device("cpu"))
        seed = int(dice_at(config.seed, 0, rank).integers(2**63))
        terms = objective(model, next(iter(feed)), share=0.0, seed=seed, half_precision=False)
        (terms.total / 2).backward()
    parameters = {f"model.{name}": p for name, p in model.named_parameters()}
    parameters |= {f"objective.{name}": p for name, p in objective.named_parameters()}
    return {name: p.grad for name, p in parameters.items() if p.grad is not None}


def first_gradient(config: TrainingConfig) -> list[Tensor]:
    """Return the gradient of the first step, from AdamW's memory of it."""
    (state,) = torch.load(last_checkpoint(config.output), weights_only=True)["optimizer_states"]
    return [entry["exp_avg"] / (1 - 0.9) for entry in state["state"].values()]


def test_two_processes_take_the_mean_of_their_gradients(tmp_path: Path) -> None:
    first, second = run(tmp_path, "steps=1")
    assert all(torch.equal(first[name], second[name]) for name in first)
    config = tiny_config(tmp_path, *OPTIONS, "steps=1")
    wanted = list(mean_gradient(config).values())
    found = first_gradient(config)
    assert len(found) == len(wanted)
    total = sum(g.abs().sum() for g in wanted)
    torch.testing.assert_close(sum(g.abs().sum() for g in found), total, rtol=1e-4, atol=0)
    by_shape = {tuple(g.shape): g for g in wanted if g.ndim == 4}
    for gradient in found:
        if tuple(gradient.shape) == (32, 3, 8, 8):
            torch.testing.assert_close(gradient, by_shape[32, 3, 8, 8], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_shared_out_weights_learn_as_whole_ones_and_go_on_exactly(tmp_path: Path) -> None:
    checks = ("steps=4", "validation.batches=1", "validation.scenes=1", "validation.every_steps=2")
    whole, _ = run(tmp_path / "ddp", *checks)
    shared, _ = run(tmp_path / "fsdp2", *checks, "hardware.strategy=fsdp2")
    for name, weight in whole.items():
        torch.testing.assert_close(shared[name], weight, rtol=1e-3, atol=1e-4)
    run(tmp_path / "parts", *checks, "hardware.strategy=fsdp2", "stop_after_minutes=1e-9")
    parts, _ = run(tmp_path / "parts", *checks, "hardware.strategy=fsdp2")
    assert all(torch.equal(parts[name], shared[name]) for name in shared)
