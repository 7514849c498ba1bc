"""`fast3r reconstruct` told through what lens photos were taken."""

import json
from pathlib import Path

import pytest

from tests.commands import Command
from tests.scene.bent_corner import LENSES, save_bent, save_panoramas


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    save_bent(LENSES["OPENCV"], tmp_path / "photos", 3)
    return tmp_path / "photos"


def numbers(model: str) -> list[str]:
    return [str(number) for number in LENSES[model].parameters]


def test_a_lens_on_the_command_line_is_written_with_the_cameras(
    photos: Path, tmp_path: Path, fast3r: Command
) -> None:
    out = tmp_path / "out"
    options = ("--lens", "opencv", "--lens-params", *numbers("OPENCV"), "--format", "colmap-text")
    outcome = fast3r("reconstruct", photos, "--output", out, *options)
    assert outcome.code == 0
    assert "3 photos are shown as by a pinhole camera (OPENCV)" in outcome.err
    first = json.loads((out / "cameras.json").read_text())["views"][0]
    assert first["lens"] == {"model": "OPENCV", **LENSES["OPENCV"].coefficients}
    line = (out / "colmap/sparse/0/cameras.txt").read_text().splitlines()[-1].split()
    assert line[1:4] == ["OPENCV", "240", "180"]
    assert [float(number) for number in line[4:]] == list(LENSES["OPENCV"].parameters)


def test_cameras_that_were_written_with_a_lens_are_known(
    photos: Path, tmp_path: Path, fast3r: Command
) -> None:
    lens = ("--lens", "opencv", "--lens-params", *numbers("OPENCV"))
    fast3r("reconstruct", photos, "--output", tmp_path / "a", *lens)
    known = ("--cameras", tmp_path / "a")
    outcome = fast3r("reconstruct", photos, "--output", tmp_path / "b", *known)
    assert outcome.code == 0
    first, second = (
        json.loads((tmp_path / name / "cameras.json").read_text())["views"] for name in "ab"
    )
    assert [view["lens"] for view in first] == [view["lens"] for view in second]
    assert [view["intrinsics"] for view in first] == [view["intrinsics"] for view in second]


def test_panoramas_are_told_by_an_option(tmp_path: Path, fast3r: Command) -> None:
    save_panoramas(64, tmp_path / "photos", 2)
    out = tmp_path / "out"
    options = ("--output", out, "--lens", "equirectangular")
    outcome = fast3r("reconstruct", tmp_path / "photos", *options)
    assert "2 panoramas are seen as 16 faces" in outcome.err
    document = json.loads((out / "cameras.json").read_text())
    assert [entry["name"] for entry in document["panoramas"]] == ["0.png", "1.png"]
    assert len(document["views"]) == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lens", "opencv", "--lens-params", "3"], "OPENCV has 8 parameters"),
        (["--lens", "opencv"], "OPENCV has 8 parameters"),
        (["--lens", "round"], "no lens is called 'ROUND'"),
        (["--lens-params", "3"], "--lens-params are the numbers of a --lens"),
        (
            ["--lens", "simple-radial", "--lens-params", "225", "120", "90", "-5"],
            "folds over inside the photo of 240x180 px",
        ),
        (
            ["--lens", "simple-radial", "--lens-params", "4.2", "120", "90", "0.001"],
            "not in millimetres",
        ),
    ],
)
def test_bad_lenses_are_refused(
    options: list[str],
    message: str,
    photos: Path,
    tmp_path: Path,
    fast3r: Command,
) -> None:
    outcome = fast3r("reconstruct", photos, "--output", tmp_path / "out", *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
