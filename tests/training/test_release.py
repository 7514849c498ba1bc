"""A checkpoint becomes a file to ship that says where it comes from."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import fast3r
from fast3r.models.config_files import write_config
from fast3r.models.fast3r import Fast3R
from fast3r.models.weight_files import TRAINING_CONFIG
from fast3r.training.release import read_card, release
from tests.training.test_warm_start import SHAPE

CARD = """# Small

## Data
Procedural scenes.

## Compute
One core.

## Results
None yet.

## Limits
Everything.

## Licence
Apache-2.0
"""


def test_a_released_file_is_the_model_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = Fast3R(SHAPE)
    content = {"state_dict": {f"model.{name}": value for name, value in model.state_dict().items()}}
    content |= {TRAINING_CONFIG: write_config(SHAPE)}
    content |= {"progress": {"step": 3, "skipped": 0, "spent_s": 120.0}}
    card, path, target = (tmp_path / name for name in ("card.md", "last.ckpt", "small.safetensors"))
    card.write_text(CARD)
    torch.save(content, path)
    release(path, target, card)
    loaded = fast3r.load_model(target, device="cpu")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value.bfloat16().float())
    with safe_open(target, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["data"] == "Procedural scenes."
    assert metadata["licence"] == "Apache-2.0"
    assert metadata["training"] == "3 steps, 2 minutes"


def test_a_card_without_a_section_is_refused(tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text(CARD.replace("Everything.", "").replace("## Results", "## Figures"))
    with pytest.raises(ValueError, match="lacks the sections results, limits; write each below"):
        read_card(card)


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "x.ckpt")
    (tmp_path / "card.md").write_text(CARD)
    with pytest.raises(ValueError, match=r"x\.ckpt is no checkpoint of `fast3r train`"):
        release(tmp_path / "x.ckpt", tmp_path / "y.safetensors", tmp_path / "card.md")
