"""Figures and pictures arrive where they should, and a resumed run continues its own log."""

import csv
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fast3r.training.config import LogConfig
from fast3r.training.log import CsvSink, TensorBoardSink, open_sinks

PICTURE = Image.new("RGB", (4, 3), (255, 0, 0))


def lines(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_a_csv_file_has_a_line_a_record(tmp_path: Path) -> None:
    sink = CsvSink(tmp_path, 0)
    sink.figures("training", 1, {"loss": 0.5})
    sink.figures("training", 2, {"loss": 0.25, "new": 1.0})
    assert lines(tmp_path / "training.csv") == [
        ["step", "loss", "new"], ["1", "0.5", ""], ["2", "0.25", "1"],
    ]  # fmt: skip


def test_what_came_after_the_checkpoint_is_dropped(tmp_path: Path) -> None:
    sink = CsvSink(tmp_path, 0)
    for step in (1, 2, 3):
        sink.figures("training", step, {"loss": float(step)})
    CsvSink(tmp_path, 2).figures("training", 3, {"loss": 9.0})
    assert lines(tmp_path / "training.csv")[2:] == [["2", "2"], ["3", "9"]]


def test_tensorboard_gets_curves_and_pictures(tmp_path: Path) -> None:
    sink = TensorBoardSink(tmp_path, 0)
    sink.figures("training", 3, {"loss": 0.5})
    sink.picture("validation-0/depth", 3, PICTURE)
    sink.close()
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in found.Scalars("training/loss")] == [(3, 0.5)]
    (image,) = found.Images("validation-0/depth")
    assert (image.width, image.height) == (4, 3)


def test_weights_and_biases_goes_on_with_the_run_of_a_folder(tmp_path: Path, monkeypatch) -> None:
    sent: list[tuple] = []
    run = SimpleNamespace(
        log=lambda entries, step: sent.append((entries, step)), finish=lambda: None
    )
    begun: dict = {}
    fake = SimpleNamespace(
        init=lambda **options: begun.update(options) or run, Image=lambda p: p.size
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    folder = tmp_path / "mine"
    folder.mkdir()
    config = LogConfig(tensorboard=False, wandb="project")
    sink = open_sinks(config, folder, first_step=0, quiet=True)[1]
    sink.figures("training", 1, {"loss": 2.0})
    sink.picture("a", 1, PICTURE)
    sink.close()
    assert (begun["project"], begun["id"], begun["resume"]) == ("project", "mine", "allow")
    assert sent == [({"training/loss": 2.0}, 1), ({"a": (4, 3)}, 1)]


def test_the_terminal_gets_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    *_, terminal = open_sinks(LogConfig(tensorboard=False), tmp_path, first_step=0, quiet=False)
    terminal.figures("training", 7, {"loss": 0.5, "unknown": 1.0})
    assert capsys.readouterr().err == "training 7: loss 0.5\n"
