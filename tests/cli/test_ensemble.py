"""`fast3r reconstruct --ensemble` and `--upright` on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.commands import EXAMPLES, Command

PHOTOS = EXAMPLES / "buddha"
THREE = [PHOTOS / f"{name}.jpg" for name in ("00006", "00007", "00010")]


def test_an_ensemble_tells_its_uncertainty_in_every_file(tmp_path: Path, fast3r: Command) -> None:
    ended = fast3r(
        "reconstruct", *THREE, "--output", tmp_path, "--ensemble", 2, "--format", "depth"
    )
    assert ended.code == 0
    assert "of 2 passes agree on the scene" in ended.err
    report = json.loads((tmp_path / "report.json").read_text())["ensemble"]
    assert report["passes"] == 2
    assert "bundled weights" in report["calibration"]["source"]
    cameras = json.loads((tmp_path / "cameras.json").read_text())["views"]
    for entry in cameras:
        told = next(each for each in report["views"] if each["name"] == entry["name"])
        assert entry["uncertainty"] == {name: told[name] for name in entry["uncertainty"]}
    depth = np.load(tmp_path / "depth" / "00006.npz")
    assert depth["depth_uncertainty"].shape == depth["depth"].shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ensemble", "1"], "--ensemble must be 2 to 32 passes, got 1; leave it out"),
        (["--ensemble", "4", "--keep-world"], "leave it or --ensemble out"),
        (["--ensemble", "4", "--chunk-views", "8"], "leave it or --chunk-views out"),
    ],
)
def test_an_ensemble_refuses_what_does_not_go_with_it(
    options: list[str], message: str, tmp_path: Path, fast3r: Command
) -> None:
    ended = fast3r("reconstruct", *THREE, "--output", tmp_path, *options)
    assert ended.code == 2
    assert message in ended.err


def test_an_ensemble_of_one_photo_is_refused(tmp_path: Path, fast3r: Command) -> None:
    ended = fast3r("reconstruct", THREE[0], "--output", tmp_path, "--ensemble", 2)
    assert ended.code == 2
    assert "at least two views, got 1" in ended.err


def test_upright_photos_are_reported_as_not_turned(tmp_path: Path, fast3r: Command) -> None:
    pytest.importorskip("pycolmap")
    ended = fast3r("reconstruct", *THREE, "--output", tmp_path, "--upright", "auto")
    assert ended.code == 0
    assert json.loads((tmp_path / "report.json").read_text())["turned"] == []
