"""The report: tables, warnings, worst cases, provenance."""

import json
import re
from pathlib import Path

import pytest

from fast3r.cluster.shards import Shard
from fast3r.evaluation.report import html_page, markdown, write_report
from fast3r.evaluation.results import BenchmarkResults, read_results
from fast3r.evaluation.running import run
from fast3r.evaluation.summary import worst_cases
from fast3r.evaluation.tables import number, summary_table
from tests.evaluation.fakes import Fails, Off, Steps


def results_of(folder: Path, benchmark: Steps, *methods, cases=None, shard=None):
    chosen = benchmark.cases if cases is None else cases
    run(benchmark, methods, folder, cases=chosen, shard=shard)
    return read_results(folder)[0]


def row(text: str, name: str) -> list[str]:
    """Return the cells of the first row of that name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_shows_our_figures_and_those_of_papers_apart(tmp_path: Path) -> None:
    results = results_of(tmp_path, Steps(), Off(error=0.5), Fails(first=4))
    text = markdown([results])
    assert row(text, "method")[:4] == ["method", "failed", "found % ↑", "error m ↓"]
    assert row(text, "off")[:4] == ["off", "0 of 5", "**100.0**", "0.500"]
    assert row(text, "fails")[:4] == ["fails", "1 of 5", "80.0", "0.00*"]
    published = [cell.text for cell in summary_table(results).lines[-1].cells]
    assert published[:4] == ["Paper (its table 1)", "", "–", "0.250"]
    assert "| *Paper (its table 1)* |  | *–* | *0.250* |" in text


def test_the_page_marks_what_is_published(tmp_path: Path) -> None:
    page = html_page([results_of(tmp_path, Steps(), Off())])
    assert '<tr class="published"><td>Paper (its table 1)</td>' in page
    assert page.count('class="published"') == 1


def test_every_case_of_every_method_is_shown(tmp_path: Path) -> None:
    text = markdown([results_of(tmp_path, Steps(), Off(error=0.5), Fails(name="zero"))])
    assert row(text, "b/c")[:4] == ["b/c", "2", "100.0", "0.500"]
    assert text.count("| b/c | 2 |") == 2
    assert "RuntimeError: out of luck" in text


def test_worst_cases_come_first_and_failures_before_them(tmp_path: Path) -> None:
    class Forgets(Off):
        def __call__(self, photos):
            answer = super().__call__(photos)
            answer.world_from_camera[1] = None
            return answer

    calls = iter([Off(), Forgets(), Fails(), Off(), Off()])

    class Mixed(Off):
        def __call__(self, photos):
            return next(calls)(photos)

    results = results_of(tmp_path, Steps(), Mixed())
    assert [r.case for r in worst_cases(results, "off", count=2)] == ["d", "b/c"]


def test_the_page_needs_no_other_file_and_holds_the_worst_pictures(tmp_path: Path) -> None:
    results = results_of(tmp_path, Steps(), Off())
    page = html_page([results], plot=b"a plot")
    assert page.count("data:image/jpeg;base64,") == 3
    assert page.count("data:image/png;base64,") == 1
    sources = re.findall(r'(?:src|href)="(?!data:)', page)
    assert sources == []


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    benchmark = Steps(cases=("<script>x</script>", "a|b"))
    results = results_of(tmp_path, benchmark, Off())
    page, text = html_page([results]), markdown([results])
    assert "<script>" not in page
    assert "| a\\|b |" in text


def warnings(results: BenchmarkResults) -> str:
    return "\n".join(re.findall(r"^\*\*(.*)\*\*$", markdown([results]), re.MULTILINE))


def test_a_whole_report_has_no_warnings(tmp_path: Path) -> None:
    assert warnings(results_of(tmp_path, Steps(), Off())) == ""


def test_missing_shards_are_said(tmp_path: Path) -> None:
    results = results_of(tmp_path, Steps(), Off(), shard=Shard(1, 2))
    assert warnings(results) == "off has no result yet for 2 of 5 cases."


def test_a_choice_of_cases_is_said(tmp_path: Path) -> None:
    results = results_of(tmp_path, Steps(), Off(), cases=["a", "d"])
    assert warnings(results) == "Only 2 of the 5 cases were chosen."


def test_unreadable_cases_are_said(tmp_path: Path) -> None:
    results = results_of(tmp_path, Steps(broken=("e",)), Off())
    assert "e cannot be read and is not in the figures: e.jpg is missing" in warnings(results)


def test_results_of_an_older_protocol_are_left_out_and_said(tmp_path: Path) -> None:
    results_of(tmp_path, Steps(protocol="old"), Off(name="left"))
    results = results_of(tmp_path, Steps(), Off())
    assert list(results.methods) == ["off"]
    assert warnings(results).startswith("5 results of another protocol are left out")


def test_methods_that_saw_different_photos_are_said(tmp_path: Path) -> None:
    results_of(tmp_path, Steps(), Off())
    results = results_of(tmp_path, Steps(brightness=1), Off(name="other"))
    assert "have not seen the same photos in 5 cases, such as a" in warnings(results)


def test_provenance_tells_settings_versions_and_protocol(tmp_path: Path) -> None:
    results = results_of(tmp_path, Steps(), Off(error=0.5))
    text = markdown([results])
    provenance = text[text.index("## Provenance") :]
    assert f"steps {results.manifest.protocol_hash}" in provenance
    assert "error 0.5, fast3r " in provenance
    assert provenance.count("| off |") == 1


def test_a_figure_that_a_method_never_gives_has_no_mean_of_its_failures(tmp_path: Path) -> None:
    class NoPose(Fails):
        def __call__(self, photos):
            answer = super().__call__(photos)
            answer.world_from_camera[1] = None
            return answer

    class Errs(Steps):
        def failure(self, frames):
            return {"found %": 0.0, "error m": 9.0}

    text = markdown([results_of(tmp_path, Errs(), NoPose(first=3))])
    assert row(text, "fails")[1:4] == ["2 of 5", "0.0", "–"]


def test_files_are_written_and_read_back(tmp_path: Path) -> None:
    results_of(tmp_path, Steps(), Off())
    paths = write_report(tmp_path)
    assert [path.name for path in paths] == ["report.md", "report.html"]
    assert "## steps" in paths[0].read_text(encoding="utf-8")


def test_a_folder_without_results_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no results of fast3r evaluate"):
        write_report(tmp_path)


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    results_of(tmp_path, Steps(), Off())
    (tmp_path / "steps" / "off" / "a.json").write_text('{"case": ')
    with pytest.raises(ValueError, match=r"a\.json is damaged .* remove it and run again"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"figures": [1]}, "figures must be a set of keys and values"),
        ({"figures": {"found %": 1e999}}, "figures must be finite"),
        ({"figures": {"found %": 1.0}}, r"lacks the figures \['error m'\]"),
        ({"photos": 0}, "photos must be between 1 and 1000000, got 0"),
        ({"more": 1}, "there is no key more"),
    ],
)
def test_a_result_of_another_form_is_named(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    results_of(tmp_path, Steps(), Off())
    path = tmp_path / "steps" / "off" / "a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=rf"a\.json .*{message}.*remove it and run again"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("value", "column", "shown"),
    [
        (12.345, "AUC@30 %", "12.3"),
        (12.345, "rotation deg", "12.3"),
        (0.012345, "accuracy m", "0.0123"),
        (1.7064, "accuracy mm", "1.71"),
        (1234.5, "error m", "1234"),
        (float("nan"), "error m", "–"),
    ],
)
def test_numbers_are_short(value: float, column: str, shown: str) -> None:
    assert number(value, column) == shown


def test_a_mean_over_some_cases_does_not_win(tmp_path: Path) -> None:
    methods = Off(error=0.5), Off(error=0.7, name="worse"), Fails(first=4)
    text = markdown([results_of(tmp_path, Steps(), *methods)])
    shown = [row(text, name)[3] for name in ("off", "worse", "fails")]
    assert shown == ["**0.500**", "0.700", "0.00*"]
