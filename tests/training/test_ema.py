"""Averages follow the weights by the rule, are what is validated, and survive a stop to the bit."""

from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fast3r.training.ema import RAW_WEIGHTS, WeightAveraging

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning has much to say about tiny runs

START = torch.tensor([[3.0, -2.0]])


class Falling(pl.LightningModule):
    """Both weights fall by 1 at each step, from 3 and -2; a third one is frozen."""

    def __init__(self, *, dtype: torch.dtype = torch.float32, momentum: float = 0.0) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1, bias=False, dtype=dtype)
        self.layer.weight.data.copy_(START)
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.momentum = momentum
        self.validated: list[Tensor] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.layer.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.validated.append(self.layer.weight.detach().clone())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.layer.parameters(), lr=1.0, momentum=self.momentum)


def fit(
    module: pl.LightningModule, average: WeightAveraging, steps: int, folder: Path, **options
) -> pl.Trainer:
    start = options.pop("start", None)
    batches = DataLoader(torch.zeros(steps, 1))
    trainer = pl.Trainer(
        max_steps=steps,
        callbacks=[average],
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    checks = DataLoader(torch.zeros(1, 1))
    trainer.fit(module, batches, checks, ckpt_path=start)
    return trainer


def expected(steps: int, decay: float) -> Tensor:
    """Averages by the rule, number by number."""
    average = START.double()
    for update in range(steps):
        stays = min(decay, (1 + update) / (10 + update))
        average = stays * average + (1 - stays) * (START.double() - (update + 1))
    return average


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.999])
def test_averages_follow_the_rule(decay, tmp_path) -> None:
    average = WeightAveraging(decay)
    fit(Falling(), average, 6, tmp_path)
    torch.testing.assert_close(average.averages["layer.weight"].double(), expected(6, decay))


def test_an_average_moves_with_each_update_of_the_weights_not_with_each_batch(tmp_path) -> None:
    average = WeightAveraging()
    fit(Falling(), average, 6, tmp_path, accumulate_grad_batches=3, max_epochs=1)
    assert average.updates == 2


def test_averages_are_validated_and_the_weights_are_back_after_it(tmp_path) -> None:
    module, average = Falling(), WeightAveraging()
    fit(module, average, 6, tmp_path, val_check_interval=3)
    assert len(module.validated) == 2
    for steps, weights in zip((3, 6), module.validated, strict=True):
        torch.testing.assert_close(weights.double(), expected(steps, 0.999))
    assert torch.equal(module.layer.weight, START - 6)


def test_weights_are_back_after_a_validation_that_fails(tmp_path) -> None:
    class Failing(Falling):
        def validation_step(self, batch: Tensor, batch_idx: int) -> None:
            raise KeyError("validation")

    module = Failing()
    with pytest.raises(KeyError, match="validation"):
        fit(module, WeightAveraging(), 6, tmp_path, val_check_interval=3)
    assert torch.equal(module.layer.weight, START - 3)


def test_what_is_not_trained_is_not_averaged(tmp_path) -> None:
    average = WeightAveraging()
    fit(Falling(), average, 2, tmp_path)
    assert list(average.averages) == ["layer.weight"]


def test_a_checkpoint_holds_averages_as_the_weights_and_the_weights_beside_them(tmp_path) -> None:
    trainer = fit(Falling(), WeightAveraging(), 6, tmp_path)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    stored = torch.load(tmp_path / "last.ckpt", weights_only=False)
    torch.testing.assert_close(stored["state_dict"]["layer.weight"].double(), expected(6, 0.999))
    assert torch.equal(stored[RAW_WEIGHTS]["layer.weight"], START - 6)
    assert torch.equal(stored["state_dict"]["frozen"], torch.ones(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_run_that_stopped_ends_as_one_that_did_not(dtype, tmp_path) -> None:
    whole, average = Falling(dtype=dtype, momentum=0.9), WeightAveraging()
    fit(whole, average, 12, tmp_path)
    trainer = fit(Falling(dtype=dtype, momentum=0.9), WeightAveraging(), 5, tmp_path)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    second, later = Falling(dtype=dtype, momentum=0.9), WeightAveraging()
    fit(second, later, 12, tmp_path, start=tmp_path / "last.ckpt")
    assert torch.equal(second.layer.weight, whole.layer.weight)
    assert torch.equal(later.averages["layer.weight"], average.averages["layer.weight"])
    assert later.updates == average.updates == 12


def test_a_checkpoint_without_averages_begins_them_at_its_weights(tmp_path) -> None:
    trainer = fit(Falling(), WeightAveraging(), 2, tmp_path)
    trainer.callbacks.clear()
    trainer.save_checkpoint(tmp_path / "plain.ckpt")
    average = WeightAveraging()
    fit(Falling(), average, 3, tmp_path, start=tmp_path / "plain.ckpt")
    wanted = 0.1 * (START - 2) + 0.9 * (START - 3)
    torch.testing.assert_close(average.averages["layer.weight"], wanted)


def test_a_checkpoint_is_validated_by_its_averages(tmp_path) -> None:
    trainer = fit(Falling(), WeightAveraging(), 6, tmp_path)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    module = Falling()
    other = pl.Trainer(
        callbacks=[WeightAveraging()], accelerator="cpu", logger=False, enable_progress_bar=False
    )
    checks = DataLoader(torch.zeros(1, 1))
    other.validate(module, checks, ckpt_path=tmp_path / "last.ckpt")
    torch.testing.assert_close(module.validated[0].double(), expected(6, 0.999))


def test_small_moves_of_half_precision_weights_are_not_lost(tmp_path) -> None:
    average = WeightAveraging()
    average.updates = 10**6
    fit(Falling(dtype=torch.bfloat16), average, 1, tmp_path)
    found = average.averages["layer.weight"]
    torch.testing.assert_close(found, START - 0.001, rtol=0, atol=1e-6)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_is_no_share_is_refused(decay) -> None:
    with pytest.raises(ValueError, match="must be from 0 to below 1, got"):
        WeightAveraging(decay)


def test_models_that_no_device_holds_are_refused() -> None:
    trainer = SimpleNamespace(strategy=ModelParallelStrategy())
    with pytest.raises(ValueError, match="need the whole model on each device"):
        WeightAveraging.setup.__wrapped__(WeightAveraging(), trainer, None, "fit")
