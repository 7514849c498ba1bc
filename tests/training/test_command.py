"""`fast3r train`: its help, its messages and what it prints."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fast3r.cli import main
from tests.training.tiny import TINY

REPOSITORY = Path(__file__).parents[2]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["train", *arguments])
    return code, *capsys.readouterr()


def test_a_run_prints_its_checkpoint(tmp_path: Path, capsys) -> None:
    code, out, err = run(capsys, *TINY, "steps=2", f"output={tmp_path}")
    assert (code, out) == (0, f"{tmp_path}/checkpoints/last.ckpt\n")
    assert err.startswith(f"{tmp_path}: begins, 0.1 M parameters\ntraining 2: loss ")


def test_a_wrong_key_is_told_in_one_line(capsys) -> None:
    code, out, err = run(capsys, "preset=smoke", "optimizer.learning_rat=1")
    assert (code, out) == (2, "")
    assert err.startswith("fast3r: there is no key optimizer.learning_rat; did you mean learning")
    assert err.count("\n") == 1


def test_the_config_can_be_seen_beforehand(capsys) -> None:
    code, out, _ = run(capsys, "preset=small", "steps=5", "--show")
    assert code == 0
    assert yaml.safe_load(out)["steps"] == 5


def test_a_job_can_be_seen_beforehand(tmp_path: Path, capsys) -> None:
    code, out, _ = run(
        capsys, "preset=smoke", "launcher=slurm", "slurm.dry_run=true", f"output={tmp_path}"
    )
    assert code == 0
    assert "#SBATCH --gpus-per-node=1" in out


def test_help_shows_an_example_and_the_presets_without_torch() -> None:
    program = "import sys; from fast3r.cli import main\ntry: main(['train', '--help'])\n"
    program += "except SystemExit: print('torch' in sys.modules, 'hydra' in sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    assert "fast3r train preset=smoke" in out
    assert all(name in out for name in ("smoke", "small", "finetune", "base", "paper"))
    assert out.endswith("False False\n")


def test_without_the_extra_the_way_out_is_told(capsys, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.startswith("fast3r.training.compose")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hydra", None)
    code, _, err = run(capsys, "preset=smoke")
    assert code == 2
    assert err == "fast3r: training needs hydra: pip install 'fast3r[train]'\n"
