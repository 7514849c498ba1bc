"""Runs begin with weights of every kind, strictly, and tell what they took."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
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
    return nn.ModuleList([MatchingLoss(32), MatchingLoss(32)])


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
    return path


@pytest.mark.parametrize("kind", ["safetensors", "lightning", "published"])
def test_a_run_begins_with_weights_of_every_kind(kind: str, tmp_path: Path) -> None:
    config = StartConfig(str(stored(kind, tmp_path)))
    started, beside = model(2), matchers(2)
    report = begin_with(config, started)
    assert equal(started, model(1))
    assert (report.loaded, report.fresh) == (PARTS, {})
    assert begin_matchers(config, beside) is (kind == "lightning")
    assert equal(beside, matchers(1)) is (kind == "lightning")


def test_chosen_parts_take_weights_and_others_begin_at_random(tmp_path: Path) -> None:
    started = model(2)
    config = StartConfig(str(stored("lightning", tmp_path)), parts=("encoder", "fusion"))
    report = begin_with(config, started)
    assert report.loaded == ("encoder", "fusion")
    assert set(report.fresh) == {"world_head", "local_head"}
    assert equal(started.fusion, model(1).fusion)
    assert equal(started.world_head, model(2).world_head)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (replace(SHAPE, encoder=EncoderConfig(32, 2, 2, 8)), "missing tensors: encoder.blocks.1"),
        (replace(SHAPE, fusion=FusionConfig(48, 4, 2)), "shape: fusion.embed.weight is 32x32, not"),
        (replace(SHAPE, fusion=FusionConfig(32, 4, 2, qkv_bias=False)), "unexpected tensors: fusi"),
    ],
)
def test_weights_that_do_not_fit_are_refused(shape, message, tmp_path: Path) -> None:
    config = StartConfig(str(stored("lightning", tmp_path)))
    with pytest.raises(ValueError, match=rf"cannot begin with .*{message}.*; choose parts that"):
        begin_with(config, model(2, shape))


def test_a_part_that_the_model_does_not_have_is_no_misfit(tmp_path: Path) -> None:
    config = StartConfig(str(stored("lightning", tmp_path)))
    worldly = replace(SHAPE, head=replace(HEAD, local=False))
    assert begin_with(config, model(2, worldly)).loaded == PARTS[:3]


class TestDust3r:
    """A checkpoint made of the weights of seed 1 under DUSt3R's names."""

    @pytest.fixture(params=["dust3r.pth", "dust3r.safetensors"])
    def config(self, request, tmp_path: Path) -> StartConfig:
        theirs = {renamed(k, DUST3R, to_ours=False): v for k, v in model(1).state_dict().items()}
        tensors = {name: v.contiguous() for name, v in theirs.items() if name is not None}
        tensors["mask_token"] = torch.zeros(1, 1, 48)
        tensors["dec_blocks2.0.norm1.weight"] = torch.zeros(48)
        path = tmp_path / request.param
        if path.suffix == ".pth":
            torch.save({"model": tensors}, path)
        else:
            save_file(tensors, path)
        return StartConfig(str(path))

    def test_encoder_and_head_are_taken_where_they_fit(self, config: StartConfig) -> None:
        started = model(2)
        report = begin_with(config, started)
        assert report.loaded == ("encoder", "world_head")
        assert report.fresh.keys() == {"fusion", "local_head"}
        assert equal(started.encoder, model(1).encoder)
        assert equal(started.world_head, model(1).world_head)
        assert equal(started.local_head, model(2).local_head)

    def test_a_head_of_another_width_begins_at_random(self, config: StartConfig) -> None:
        shape = replace(SHAPE, fusion=FusionConfig(64, 4, 2))
        started = model(2, shape)
        report = begin_with(config, started)
        assert report.loaded == ("encoder",)
        expected = "3 tensors of another shape: world_head.project.1.weight is 8x32x1x1, not 8x64"
        assert report.fresh["world_head"].startswith(expected)
        assert equal(started.world_head, model(2, shape).world_head)

    def test_the_position_of_our_encoder_begins_at_random(self, config: StartConfig) -> None:
        shape = replace(SHAPE, encoder=replace(SHAPE.encoder, absolute_position=True))
        assert "encoder.position" in begin_with(config, model(2, shape)).fresh

    def test_an_encoder_of_another_shape_is_refused(self, config: StartConfig) -> None:
        shape = replace(SHAPE, encoder=EncoderConfig(64, 1, 2, 8))
        with pytest.raises(ValueError, match=r"no encoder for this model: .*of another shape"):
            begin_with(config, model(2, shape))

    def test_parts_cannot_be_chosen(self, config: StartConfig) -> None:
        with pytest.raises(ValueError, match=r"start\.parts does not apply to DUSt3R"):
            begin_with(replace(config, parts=("encoder",)), model(2))
