"""What visitors take home."""

import zipfile
from pathlib import Path

import pytest

from fast3r.scene.report import RunReport
from fast3r.viz.demo_app.drawing import EVERYTHING, available_formats, draw, write_download
from fast3r.viz.demo_app.visits import Result
from fast3r.viz.results import FORMATS
from tests.scenes import make_scene, without_cameras


@pytest.fixture
def result(tmp_path: Path) -> Result:
    report = RunReport("small", "0" * 16, "cpu", "float32", 0, {}, [])
    return Result(tmp_path, report)


def test_each_format_has_a_title_and_can_be_chosen() -> None:
    titles = dict(available_formats())
    assert set(titles.values()) == {EVERYTHING, *FORMATS}
    assert not set(titles) & set(FORMATS)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"html"}))
def test_each_format_comes_as_one_file(result: Result, name: str) -> None:
    file = write_download(make_scene(), result, name, min_conf_percentile=30)
    target = Path(FORMATS[name].target)
    assert file.name == (target.name if target.suffix else f"{target.parts[0]}.zip")
    assert file.stat().st_size > 0


def test_a_folder_is_packed_under_its_name(result: Result) -> None:
    file = write_download(make_scene(), result, "colmap", min_conf_percentile=30)
    assert "colmap/sparse/0/cameras.bin" in zipfile.ZipFile(file).namelist()


def test_everything_holds_all_formats_and_the_report(result: Result) -> None:
    file = write_download(make_scene(), result, EVERYTHING, min_conf_percentile=30)
    packed = zipfile.ZipFile(file).namelist()
    for name in {"report.json", *(f.target for f in FORMATS.values())}:
        assert any(entry.startswith(f"fast3r/{name}") for entry in packed), name


def test_a_format_that_cannot_hold_the_scene_says_why(result: Result) -> None:
    scene = make_scene()
    nothing_sure = without_cameras(scene, *range(len(scene.views)))
    with pytest.raises(ValueError, match="has a camera"):
        write_download(nothing_sure, result, "transforms", min_conf_percentile=30)


def test_fewer_points_are_drawn_at_a_higher_percentile(tmp_path: Path) -> None:
    page, many = draw(make_scene(), tmp_path, min_conf_percentile=0)
    other_page, few = draw(make_scene(), tmp_path, min_conf_percentile=80)
    assert few < many / 3
    assert page != other_page
