"""The report of a run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fast3r.scene.report import RunReport, remove_results, write_report
from fast3r.scene.stages import StageCost
from fast3r.views.view import SkippedPhoto
from tests.scenes import make_scene, without_cameras

REPORT = RunReport(
    model="small",
    model_hash="0123456789abcdef",
    device="cpu (x86_64)",
    precision="float32",
    seed=7,
    options={"output": Path("out"), "masks": None},
    stages=[StageCost("cameras", 1.5, 0.25, None)],
)


def test_what_became_of_every_photo_is_told(tmp_path: Path) -> None:
    scene = without_cameras(make_scene(), 1)
    scene = replace(scene, skipped=[SkippedPhoto("broken.jpg", "the file is cut short")])
    write_report(REPORT, scene, tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["views"] == {"used": 4, "registered": 3, "left_out": 1}
    assert told["left_out"] == [{"name": "broken.jpg", "reason": "the file is cut short"}]
    assert told["unregistered"] == [{"name": scene.views[1].name, "reason": "too few sure points"}]


def test_how_the_scene_was_made_is_told(tmp_path: Path) -> None:
    write_report(REPORT, make_scene(), tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["stages"] == [
        {"name": "cameras", "seconds": 1.5, "host_peak_gib": 0.25, "device_peak_gib": None}
    ]
    assert told["options"] == {"output": "out", "masks": None}
    assert (told["model"], told["model_hash"], told["seed"]) == ("small", "0123456789abcdef", 7)
    assert set(told["versions"]) == {"fast3r", "torch", "python"}


def test_the_files_that_a_report_names_are_removed_with_it(tmp_path: Path) -> None:
    files = [Path("scene.npz"), Path("depth/a.png")]
    (tmp_path / "depth").mkdir()
    for file in [*files, Path("my_own.txt"), Path("scene.ply")]:
        (tmp_path / file).touch()
    write_report(REPORT, make_scene(), tmp_path / "report.json", files=files)
    remove_results(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["my_own.txt"]


@pytest.mark.parametrize("text", ["", "[]", '{"files": 3}', '{"files": [null, {}]}', "\x00"])
def test_a_report_that_names_nothing_removes_only_itself(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    (tmp_path / "scene.npz").touch()
    remove_results(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.npz"]


def test_a_report_cannot_remove_what_lies_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "mine.txt").touch()
    files = [Path("../mine.txt"), tmp_path / "mine.txt"]
    write_report(REPORT, make_scene(), tmp_path / "out" / "report.json", files=files)
    remove_results(tmp_path / "out")
    assert (tmp_path / "mine.txt").exists()
