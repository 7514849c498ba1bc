"""Curves of accuracy, time and memory against the number of photos."""

import csv
import math
from pathlib import Path

import pytest
from PIL import Image

from fast3r.evaluation.results import read_results
from fast3r.evaluation.running import run
from fast3r.evaluation.scaling import curves_of, write_scaling
from tests.evaluation.fakes import Fails, Off, Steps, frame


class ManySteps(Steps):
    """Shows the same first two photos among more."""

    def __init__(self, views: int) -> None:
        super().__init__(name=f"steps-{views}-views", cases=("a", "b"))
        self.views = views

    def frames(self, case: str):
        return [frame(place) for place in range(self.views)]


class First(Off):
    """Answers only for the first two of many photos."""

    def __call__(self, photos):
        answer = super().__call__(photos)
        missing = [None] * (len(photos) - 2)
        return type(answer)([*answer.world_from_camera, *missing], answer.intrinsics, answer.dense)


def evaluated(folder: Path, *views: int):
    for count in views:
        methods = [First(error=count / 10), Fails(name="never")]
        benchmark = ManySteps(count)
        run(benchmark, methods, folder, cases=benchmark.cases)
    return read_results(folder)


def test_the_table_has_a_line_for_each_method_and_number_of_photos(tmp_path: Path) -> None:
    files = write_scaling(tmp_path, evaluated(tmp_path, 10, 2, 4))
    assert [file.name for file in files] == ["scaling.csv", "scaling.png"]
    with files[0].open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    ours = [row for row in rows if row["method"] == "off"]
    assert [float(row["photos"]) for row in ours] == [2, 4, 10]
    assert [float(row["error m"]) for row in ours] == pytest.approx([0.2, 0.4, 1.0])
    assert all(float(row["seconds_median"]) >= 0 for row in rows)
    failed = [row for row in rows if row["method"] == "never"]
    assert [row["failed"] for row in failed] == ["2", "2", "2"]
    assert math.isnan(float(failed[0]["error m"]))


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    files = write_scaling(tmp_path, evaluated(tmp_path, 2, 4))
    with Image.open(files[1]) as picture:
        assert picture.width > 1000
        assert len(set(picture.convert("L").resize((64, 32)).tobytes())) > 10


def test_one_number_of_photos_makes_no_curve(tmp_path: Path) -> None:
    assert write_scaling(tmp_path, evaluated(tmp_path, 4)) == []
    assert not (tmp_path / "scaling.png").exists()


def test_different_benchmarks_make_no_common_curve(tmp_path: Path) -> None:
    for name, count in (("one", 2), ("other", 4)):
        benchmark = ManySteps(count)
        benchmark.name = f"{name}-{count}-views"
        run(benchmark, [First()], tmp_path, cases=benchmark.cases)
    assert curves_of(read_results(tmp_path)) == {}
