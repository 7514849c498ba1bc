"""Runs begin with weights of every kind, strictly, and tell what they took."""

from pathlib import Path

import pytest
import torch
from torch import nn

from fast3r.models.checkpoints import save_model
from fast3r.models.config import EncoderConfig, Fast3RConfig, FusionConfig, HeadConfig
from fast3r.models.config_files import write_config
from fast3r.models.fast3r import Fast3R
from fast3r.models.names import DUST3R, PUBLISHED, renamed
from fast3r.models.weight_files import TRAINING_CONFIG
from fast3r.training.config import StartConfig
from fast3r.training.matching import MatchingLoss
from fast3r.training.warm_start import begin_matchers, begin_with

HEAD = HeadConfig(features=8, last_features=8, level_widths=(8, 8, 8, 8))
SHAPE = Fast3RConfig(EncoderConfig(32, 1, 2, 8), FusionConfig(32, 4, 2), HEAD)
PARTS = ("encoder", "fusion", "world_head", "local_head")


def model(seed: int, shape: Fast3RConfig = SHAPE) -> Fast3R:
    torch.manual_seed(seed)
    return Fast3R(shape)


def matchers(seed: int) -> nn.ModuleList:
    torch.manual_seed(seed)
    return nn.ModuleList([MatchingLoss(32, 4), MatchingLoss(32, 4)])


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(a.state_dict()[name], b.state_dict()[name]) for name in a.state_dict())


def stored(kind: str, folder: Path) -> Path:
    """Write the weights of seed 1 as a file of some kind."""
    old, beside = model(1), matchers(1)
    path = folder / "weights.ckpt"
    if kind == "safetensors":
        path = folder / "weights.safetensors"
        save_model(old, path)
    if kind == "lightning":
        state = {f"model.{k}": v for k, v in old.state_dict().items()}
        state |= {f"objective.matchers.{k}": v for k, v in beside.state_dict().items()}
        torch.save({"state_dict": state, TRAINING_CONFIG: write_config(SHAPE)}, path)
    if kind == "published":
        theirs = {renamed(k, PUBLISHED, to_ours=False): v for k, v in old.state_dict().items()}
        torch.save({"state_dict": {f"net.{k}": v for k, v in theirs.items()}}, path)
    if kind == "plain":
        flat = {k: v.reshape(()) if "log" in k else v for k, v in beside.state_dict().items()}
        torch.save({"model": old.state_dict(), "matchers": flat, "step": 3}, path)
    return path


@pytest.mark.parametrize("kind", ["safetensors", "lightning", "published", "plain"])
def test_a_run_begins_with_weights_of_every_kind(kind: str, tmp_path: Path) -> None:
    config = StartConfig(str(stored(kind, tmp_path)))
    started, beside = model(2), matchers(2)
    report = begin_with(config, started)
    assert equal(started, model(1))
    assert (report.loaded, report.fresh) == (PARTS, {})
    knows_matchers = kind in ("lightning", "plain")
    assert begin_matchers(config, beside) is knows_matchers
    assert equal(beside, matchers(1)) is knows_matchers


def test_chosen_parts_take_weights_and_others_begin_at_random(tmp_path: Path) -> None:
    started = model(2)
    config = StartConfig(str(stored("lightning", tmp_path)), parts=("encoder", "fusion"))
    report = begin_with(config, started)
    assert report.loaded == ("encoder", "fusion")
    assert set(report.fresh) == {"world_head", "local_head"}
    assert equal(started.fusion, model(1).fusion)
    assert equal(started.world_head, model(2).world_head)


def test_dust3r_gives_its_encoder_and_its_head_where_it_fits(tmp_path: Path) -> None:
    old = model(1).state_dict()
    theirs = {renamed(k, DUST3R, to_ours=False): v for k, v in old.items()}
    theirs = {k: v for k, v in theirs.items() if k is not None} | {"mask_token": torch.zeros(1)}
    torch.save({"model": theirs}, tmp_path / "dust3r.pth")
    started = model(2)
    report = begin_with(StartConfig(str(tmp_path / "dust3r.pth")), started)
    assert report.loaded == ("encoder", "world_head")
    assert set(report.fresh) == {"fusion", "local_head"}
    assert equal(started.encoder, model(1).encoder)
    with pytest.raises(ValueError, match=r"start\.parts does not apply to DUSt3R"):
        begin_with(StartConfig(str(tmp_path / "dust3r.pth"), ("encoder",)), started)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            Fast3RConfig(EncoderConfig(32, 2, 2, 8), SHAPE.fusion, HEAD),
            "has no tensor for encoder.blocks.1",
        ),
        (
            Fast3RConfig(SHAPE.encoder, FusionConfig(48, 4, 2), HEAD),
            "has a tensor of another shape for fusion",
        ),
        (
            Fast3RConfig(SHAPE.encoder, SHAPE.fusion, HeadConfig(8, 8, (8, 8, 8, 8), local=False)),
            None,
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(shape, message, tmp_path: Path) -> None:
    config = StartConfig(str(stored("lightning", tmp_path)))
    if message is None:  # a part that the model does not have is no misfit
        assert begin_with(config, model(2, shape)).loaded == PARTS[:3]
        return
    with pytest.raises(ValueError, match=message):
        begin_with(config, model(2, shape))
