"""A folder belongs to one run: its config is there, and another run is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fast3r.training.compose import compose
from fast3r.training.config import HardwareConfig
from fast3r.training.run_folder import open_folder
from tests.training.tiny import tiny_config


def test_the_config_is_written_and_can_be_read_as_a_preset(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", "seed=7")
    open_folder(config)
    entries = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert entries["seed"] == 7
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump({"preset": "smoke", **entries}))
    assert compose([f"preset={again}"]) == config


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    open_folder(tiny_config(tmp_path, "seed=7"))
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    open_folder(tiny_config(tmp_path, "seed=7"))
    with pytest.raises(ValueError, match="holds a run with other settings: seed 7 -> 8;"):
        open_folder(tiny_config(tmp_path, "seed=8"))


def test_where_a_run_computes_may_change(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    open_folder(config)
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    open_folder(replace(config, hardware=HardwareConfig(devices=2), stop_after_minutes=1.0))


def test_a_folder_without_a_checkpoint_may_begin_anew(tmp_path: Path) -> None:
    open_folder(tiny_config(tmp_path, "seed=7"))
    open_folder(tiny_config(tmp_path, "seed=8"))
