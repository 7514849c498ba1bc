"""Each parameter is updated by one optimiser, with the decay and the rate that it should have."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fast3r.models.fast3r import Fast3R
from fast3r.training.config import OptimizerConfig
from fast3r.training.optimizers import make_optimizers, rate_factor, set_rates
from tests.training.tiny import tiny_config

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "learning_rate.npz"
HAS_MUON = hasattr(torch.optim, "Muon")


@pytest.fixture
def model(tmp_path) -> Fast3R:
    return Fast3R(tiny_config(tmp_path).model)


def groups(optimizers: dict[str, torch.optim.Optimizer]) -> list[dict]:
    return [group for optimizer in optimizers.values() for group in optimizer.param_groups]


@pytest.mark.parametrize(
    "name", ["adamw", pytest.param("muon", marks=pytest.mark.skipif(not HAS_MUON, reason="torch"))]
)
def test_every_trained_parameter_is_in_one_group(name, model: Fast3R) -> None:
    beside = nn.Linear(3, 2)
    model.encoder.requires_grad_(False)
    made = make_optimizers(OptimizerConfig(name), model, beside.parameters(), fused=False)
    found = [p for group in groups(made) for p in group["params"]]
    wanted = [p for p in [*model.parameters(), *beside.parameters()] if p.requires_grad]
    assert sorted(map(id, found)) == sorted(map(id, wanted))


@pytest.mark.skipif(not HAS_MUON, reason="Muon came with torch 2.9")
def test_muon_takes_the_matrices_of_the_blocks_and_decays_them_alone(model: Fast3R) -> None:
    config = OptimizerConfig("muon", weight_decay=0.02, decay="matrices")
    made = make_optimizers(config, model, [], fused=False)
    assert list(made) == ["muon", "adamw"]
    matrices = {id(p) for group in made["muon"].param_groups for p in group["params"]}
    assert id(model.fusion.blocks[0].get_parameter("fc1.weight")) in matrices
    assert id(model.fusion.embed.weight) not in matrices
    assert [group["weight_decay"] for group in groups(made)] == [0.02, 0.0]
    wanted = {"muon": 0.5 * config.muon_learning_rate, "adamw": 0.5 * config.learning_rate}
    assert set_rates(made, 0.5) == wanted
    assert [group["lr"] for group in groups(made)] == list(wanted.values())


def test_the_published_run_decays_everything(model: Fast3R) -> None:
    made = make_optimizers(OptimizerConfig(weight_decay=0.05), model, [], fused=False)
    assert {group["weight_decay"] for group in groups(made)} == {0.05}


def test_without_muon_the_way_out_is_told(model: Fast3R, monkeypatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(ValueError, match=r"needs torch 2\.9 or later.*take optimizer\.name=adamw"):
        make_optimizers(OptimizerConfig("muon"), model, [], fused=False)


def test_the_rates_of_1000_steps_equal_the_reference() -> None:
    with np.load(GOLDEN) as file:
        wanted = file["lr_total1000_warm20"]
    made = [1e-4 * rate_factor(t / 1000, warmup=0.02, end=0.01, tick=1e-3) for t in range(1000)]
    np.testing.assert_allclose(made, wanted, rtol=1e-12)


def test_a_run_by_the_clock_has_the_same_shape() -> None:
    factors = [rate_factor(share, warmup=0.1, end=0.2) for share in (0, 0.05, 0.1, 0.55, 1, 2)]
    assert factors == pytest.approx([0, 0.5, 1, 0.6, 0.2, 0.2])


def test_without_a_warm_up_the_peak_comes_first() -> None:
    assert rate_factor(0, warmup=0, end=0.1, tick=0.01) == 1
