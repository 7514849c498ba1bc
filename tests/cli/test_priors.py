"""`fast3r reconstruct` told what its user knows."""

import json
from pathlib import Path

import pytest

from fast3r.camera_files.cameras_json import read_cameras
from tests.commands import Command, assert_refused
from tests.scene.known_scenes import METRES_PER_UNIT, metres_between, views
from tests.scene.playback import Truth


@pytest.fixture
def truths() -> list[Truth]:
    return views(3)


def test_a_file_of_priors_makes_the_scene_metric_and_is_reported(
    photos: Path, tmp_path: Path, truths: list[Truth], reconstruct: Command
) -> None:
    metres = metres_between(truths[0], truths[1])
    known = {"distances": [{"metres": metres, "between": ["0.png", "1.png"]}]}
    (tmp_path / "known.json").write_text(json.dumps(known))
    output = tmp_path / "out"
    done = reconstruct(photos, output, "--priors", tmp_path / "known.json")
    assert done.code == 0
    assert "scale: metric (distances); 1 of 1 priors agree" in done.err
    cameras = json.loads((output / "cameras.json").read_text())
    assert (cameras["scale"], cameras["scale_source"]) == ("metric", "distances")
    report = json.loads((output / "report.json").read_text())
    assert report["scale"] == {"kind": "metric", "source": "distances"}
    assert [check["status"] for check in report["priors"]] == ["agrees"]
    first, second = (
        record.world_from_camera for record in read_cameras(output / "cameras.json")[:2]
    )
    assert float(((first - second)[:3, 3] ** 2).sum() ** 0.5) == pytest.approx(metres, rel=1e-4)
    assert METRES_PER_UNIT != 1


def test_cameras_that_were_written_are_cameras_that_are_known(
    reconstruct: Command, photos: Path, tmp_path: Path
) -> None:
    for name, options in (("a", []), ("b", ["--cameras", tmp_path / "a"])):
        assert reconstruct(photos, tmp_path / name, *options).code == 0
    a, b = (json.loads((tmp_path / name / "cameras.json").read_text()) for name in "ab")
    assert b["views"] == a["views"]
    assert (a["axes"], b["axes"]) == ("network", "known poses")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gps", "exif"], "no photo tells its place in EXIF"),
        (["--intrinsics", "exif"], "no photo tells its focal length"),
        (["--depth-maps", "."], "has no depth map of any view"),
        (["--cameras", "."], "has no known cameras"),
    ],
)
def test_priors_that_are_not_there_are_refused(
    options: list[str], message: str, photos: Path, tmp_path: Path, reconstruct, monkeypatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert_refused(reconstruct(photos, tmp_path / "out", "--quiet", *options), message)
