"""`fast3r reconstruct --thin`: fewer keys and values."""

import json

import pytest

from tests.commands import EXAMPLES

PHOTOS = EXAMPLES / "banana"


def test_thin_changes_the_scene_and_is_told_in_the_report(tmp_path, fast3r) -> None:
    photos = sorted(PHOTOS.glob("*.jpg"))[:3]
    for name, more in (("exact", []), ("thin", ["--thin", 0.25])):
        outcome = fast3r("reconstruct", *photos, "--output", tmp_path / name, "--size", 64, *more)
        assert outcome.code == 0, outcome.err
    exact, thin = ((tmp_path / name / "scene.ply").read_bytes() for name in ("exact", "thin"))
    assert exact != thin
    assert json.loads((tmp_path / "thin" / "report.json").read_text())["options"]["thin"] == 0.25


@pytest.mark.parametrize("share", [0, 1.5])
def test_impossible_share_is_refused_before_any_work(tmp_path, fast3r, share) -> None:
    outcome = fast3r("reconstruct", PHOTOS, "--output", tmp_path, "--thin", share)
    assert outcome.code == 2
    assert "share of the tokens in (0, 1]" in outcome.err


def test_several_devices_are_refused(tmp_path, fast3r) -> None:
    arguments = ["--thin", 0.25, "--devices", "cpu", "cpu"]
    outcome = fast3r("reconstruct", PHOTOS, "--output", tmp_path, *arguments)
    assert outcome.code == 2
    assert "--thin works on one device only" in outcome.err
