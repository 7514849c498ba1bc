"""`fast3r evaluate`, from the command line to the report."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fast3r.cli import main
from fast3r.data.frame import Frame
from fast3r.evaluation import catalog
from fast3r.evaluation.catalog import CATALOG, Listing
from tests.commands import run_jobs_here
from tests.evaluation.fakes import Steps, frame

Run = Callable[..., tuple[int, str, str]]


class StepsOfViews(Steps):
    def __init__(self, views: int) -> None:
        super().__init__(name=f"steps-{views}-views")
        self.views = views

    def frames(self, case: str) -> list[Frame]:
        return [frame(place) for place in range(self.views)]


def open_steps(*, views: int) -> Steps:
    return StepsOfViews(views)


def open_broken(*, root: Path) -> Steps:
    return Steps(name="broken", broken=("d", "e"))


@pytest.fixture
def fast3r(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in this process, with two tiny benchmarks."""
    here = __name__
    tiny = {
        "steps": Listing("a test", here, "open_steps", needs_root=False, views=(2, 3)),
        "broken": Listing("another", here, "open_broken"),
    }
    monkeypatch.setattr(catalog, "CATALOG", {**CATALOG, **tiny})
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main(["evaluate", *(str(argument) for argument in arguments)])
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        return code, *capfd.readouterr()

    return run


def assert_refused(outcome: tuple[int, str, str], *words: str) -> None:
    code, out, err = outcome
    assert code == 2, err
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("fast3r: ")
    for word in words:
        assert word in err


def test_a_run_writes_results_and_prints_the_report(fast3r: Run, tmp_path: Path) -> None:
    code, out, err = fast3r("steps", "--methods", "trivial", "--output", tmp_path)
    assert code == 0, err
    assert out == f"{tmp_path / 'report.html'}\n"
    result = json.loads((tmp_path / "steps-2-views" / "trivial" / "a.json").read_text())
    assert result["figures"] == {"found %": 100, "error m": 0}
    assert (tmp_path / "steps-3-views" / "benchmark.json").is_file()
    assert "steps-2-views trivial: found % 100.0 (5 cases)" in err
    assert "| trivial | 0 of 5 |" in (tmp_path / "report.md").read_text()


def test_views_and_cases_choose_what_is_run(fast3r: Run, tmp_path: Path) -> None:
    options = ("--methods", "trivial", "--views", 3, "--cases", 2, "--output", tmp_path)
    assert fast3r("steps", *options)[0] == 0
    assert {path.parent.parent.name for path in tmp_path.rglob("trivial/*.json")} == {
        "steps-3-views"
    }
    assert sorted(path.stem for path in tmp_path.rglob("trivial/*.json")) == ["a", "d"]


def test_our_model_runs(fast3r: Run, tmp_path: Path) -> None:
    options = ("--size", 64, "--views", 2, "--cases", 1, "--output", tmp_path, "--device", "cpu")
    code, _, err = fast3r("steps", "--methods", "fast3r", *options)
    assert code == 0, err
    result = json.loads((tmp_path / "steps-2-views" / "fast3r-small" / "a.json").read_text())
    assert result["settings"]["size"] == 64
    assert result["error"] is None


def test_two_shards_make_one_report(fast3r: Run, tmp_path: Path) -> None:
    options = ("steps", "--methods", "trivial", "--views", 2, "--output", tmp_path)
    assert fast3r(*options, "--shard", "1/2")[0] == 0
    assert "no result yet for 2 of 5 cases" in (tmp_path / "report.md").read_text()
    assert fast3r(*options, "--shard", "2/2")[0] == 0
    assert "no result yet" not in (tmp_path / "report.md").read_text()


def test_jobs_do_all_parts(fast3r: Run, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        write_set(tmp_path / "photos" / name)
    options = ("--methods", "trivial", "--output", tmp_path / "out", "--jobs", 2)
    code, _, err = fast3r("posed-photos", tmp_path / "photos", *options)
    assert code == 0, err
    assert len(list(tmp_path.rglob("trivial/*.json"))) == 3


def test_jobs_of_a_cluster_do_all_parts(
    fast3r: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = run_jobs_here(monkeypatch)
    options = ("--methods", "trivial", "--views", 2, "--output", tmp_path, "--jobs", 3)
    code, _, err = fast3r("steps", *options, "--slurm", "gpu", "--hours", 2)
    assert code == 0, err
    assert len(list(tmp_path.rglob("trivial/*.json"))) == 5
    assert (asked[0].partition, asked[0].hours, asked[0].jobs_at_once) == ("gpu", 2, 3)


def write_set(folder: Path) -> None:
    folder.mkdir(parents=True)
    images = []
    for place in (0, 1):
        Image.fromarray(frame(place).image).save(folder / f"{place}.png")
        pose, intrinsics = frame(place).world_from_camera, frame(place).intrinsics
        images.append({"file": f"{place}.png", "K": intrinsics.tolist(), "c2w": pose.tolist()})
    (folder / "cameras.json").write_text(json.dumps({"images": images}))


def test_the_report_alone_needs_no_dataset(fast3r: Run, tmp_path: Path) -> None:
    fast3r("steps", "--methods", "trivial", "--views", 2, "--output", tmp_path)
    (tmp_path / "report.md").unlink()
    code, out, _ = fast3r("--report-only", "--output", tmp_path)
    assert code == 0
    assert out == f"{tmp_path / 'report.html'}\n"
    assert (tmp_path / "report.md").is_file()


def test_several_numbers_of_views_make_curves(fast3r: Run, tmp_path: Path) -> None:
    assert fast3r("steps", "--methods", "trivial", "--output", tmp_path)[0] == 0
    lines = (tmp_path / "scaling.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["steps", "trivial", "2.0"],
        ["steps", "trivial", "3.0"],
    ]
    assert (tmp_path / "scaling.png").is_file()
    assert "![Accuracy, time and memory" in (tmp_path / "report.md").read_text()


def test_cases_that_cannot_be_read_end_in_an_error_after_the_report(
    fast3r: Run, tmp_path: Path
) -> None:
    code, out, err = fast3r("broken", ".", "--methods", "trivial", "--output", tmp_path)
    assert code == 2
    assert out == f"{tmp_path / 'report.html'}\n"
    assert "fast3r: 2 cases could not be read and are not in the figures; the first is d" in err
    assert len(list(tmp_path.rglob("trivial/*.json"))) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("there is no benchmark ''; there are", "procedural: ", "co3d: ")),
        (("co4d",), ("there is no benchmark 'co4d'; there are",)),
        (("co3d",), ("co3d needs its dataset: fast3r evaluate co3d FOLDER",)),
        (("co3d", "nowhere"), ("nowhere", "expected")),
        (("procedural", "photos"), ("procedural makes its own photos; leave out photos",)),
        (("posed-photos", "nowhere"), ("not laid out as posed photos", "no such folder")),
        (("steps", "--views", 1), ("--views must be at least 2 each, got 1",)),
        (("broken", ".", "--views", 3), ("broken has fixed numbers of views",)),
        (("steps", "--variant", "x"), ("steps has no variants; got --variant x",)),
        (("procedural", "--variant", "x"), ("procedural has 128px, 512px; got --variant x",)),
        (("steps", "--shard", "3/2"), ("--shard must be like 1/4",)),
        (("steps", "--cases", 0), ("--cases must be at least 1, got 0",)),
        (("steps", "--jobs", 0), ("--jobs must be at least 1, got 0",)),
        (("steps", "--jobs", 2, "--shard", "1/2"), ("leave out --shard",)),
        (("steps", "--seed", -1), ("--seed must be between 0 and",)),
        (("steps", "--methods", "magic"), ("there is no method 'magic'; there are",)),
        (("steps", "--model", "nowhere/x"), ("nowhere/x",)),
        (("--report-only",), ("holds no results of fast3r evaluate",)),
        (("steps", "--slurm", "gpu"), ("there is no sbatch",)),
    ],
)
def test_what_is_wrong_is_explained_once(
    fast3r: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, words
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert_refused(fast3r(*arguments, "--quiet"), *words)


def test_every_listed_benchmark_has_its_opener() -> None:
    from importlib import import_module

    for listing in CATALOG.values():
        assert callable(getattr(import_module(listing.module), listing.opener))
