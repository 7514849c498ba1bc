"""Running: what is done, what is not done twice, and what becomes of failures."""

import json
from pathlib import Path

import numpy as np
import pytest

from fast3r.cluster.shards import Shard
from fast3r.evaluation.benchmark import Answer, Benchmark, Method
from fast3r.evaluation.results import read_results, result_path
from fast3r.evaluation.running import Listener, check_answer, choose_cases, frames_hash, run
from fast3r.evaluation.summary import summarized
from tests.evaluation.fakes import Fails, Off, Steps, frame, truth


class Ear(Listener):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[tuple[int, int]] = []

    def said(self, text: str) -> None:
        self.lines.append(text)

    def advanced(self, done: int, steps: int) -> None:
        self.steps.append((done, steps))


def evaluate(folder: Path, benchmark: Benchmark, *methods: Method, shard: str = "1/1") -> Ear:
    ear = Ear()
    run(
        benchmark,
        methods,
        folder,
        cases=benchmark.cases,
        shard=Shard.parsed(shard),
        listener=ear,
    )
    return ear


def figures(folder: Path) -> dict[str, dict[str, float]]:
    """Return the table: figures by method."""
    return {row.method: dict(row.figures) for row in summarized(read_results(folder)[0])}


def test_perfect_answers_score_perfectly_and_errors_are_what_they_are(tmp_path: Path) -> None:
    evaluate(tmp_path, Steps(), Off(), Off(error=0.5, name="half off"))
    assert figures(tmp_path) == {
        "off": {"found %": 100, "error m": 0},
        "half off": {"found %": 100, "error m": 0.5},
    }


def test_the_photos_of_a_case_are_read_once_for_all_methods(tmp_path: Path) -> None:
    benchmark = Steps()
    evaluate(tmp_path, benchmark, Off(), Off(name="other"))
    assert benchmark.looked_at == list(benchmark.cases)


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    stopped = Fails(first=2, error=KeyboardInterrupt(), name="method")
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path, Steps(), stopped)
    assert len(list(tmp_path.rglob("method/*.json"))) == 2
    assert not list(tmp_path.rglob(".fast3r-*"))
    again = Fails(first=5, name="method")
    evaluate(tmp_path, Steps(), again)
    assert again.calls == 3
    assert figures(tmp_path)["method"] == {"found %": 100, "error m": 0}


def test_finished_cases_are_not_even_read(tmp_path: Path) -> None:
    evaluate(tmp_path, Steps(), Off())
    benchmark, method = Steps(), Off()
    evaluate(tmp_path, benchmark, method)
    assert benchmark.looked_at == []
    assert method.calls == 0


def test_other_settings_make_results_anew(tmp_path: Path) -> None:
    evaluate(tmp_path, Steps(), Off())
    evaluate(tmp_path, Steps(), Off(error=1))
    assert figures(tmp_path)["off"]["error m"] == 1


def test_another_protocol_makes_results_anew(tmp_path: Path) -> None:
    evaluate(tmp_path, Steps(), Off())
    method = Off()
    evaluate(tmp_path, Steps(protocol="The same, but different."), method)
    assert method.calls == 5


def test_a_failing_case_is_recorded_and_counted(tmp_path: Path) -> None:
    ear = evaluate(tmp_path, Steps(), Fails(first=4))
    (row,) = summarized(read_results(tmp_path)[0])
    assert (row.cases, row.failed) == (5, 1)
    assert row.figures == {"found %": 80, "error m": 0}
    assert row.undefined == {"found %": 0, "error m": 1}
    failed = json.loads(result_path(tmp_path, "steps", "fails", "f").read_text())
    assert failed["error"] == "RuntimeError: out of luck"
    assert "raise self.error" in failed["traceback"]
    assert failed["figures"] == {"found %": 0, "error m": None}
    assert "steps f fails failed: RuntimeError: out of luck" in ear.lines


def test_a_failing_method_does_not_stop_the_others(tmp_path: Path) -> None:
    evaluate(tmp_path, Steps(), Fails(), Off())
    assert figures(tmp_path)["off"] == {"found %": 100, "error m": 0}


def test_no_method_can_change_what_the_next_one_sees(tmp_path: Path) -> None:
    seen = []

    class Blackens(Off):
        def __call__(self, photos):
            seen.append(photos[1].max())
            photos[1][:] = 0
            return super().__call__(photos)

    evaluate(tmp_path, Steps(cases=("a",)), Blackens(), Blackens(name="next"))
    assert seen == [40, 40]


def test_an_impossible_answer_is_a_failure(tmp_path: Path) -> None:
    class Mirrors(Off):
        def __call__(self, photos):
            answer = super().__call__(photos)
            mirror = np.diag([-1.0, 1, 1, 1])
            return Answer([mirror, mirror], answer.intrinsics, answer.dense)

    evaluate(tmp_path, Steps(), Mirrors())
    (row,) = summarized(read_results(tmp_path)[0])
    assert row.failed == 5


def test_shards_together_are_the_whole(tmp_path: Path) -> None:
    for number in (2, 3, 1):
        evaluate(tmp_path / "shards", Steps(), Off(error=0.5), shard=f"{number}/3")
    evaluate(tmp_path / "whole", Steps(), Off(error=0.5))
    shards, whole = (read_results(tmp_path / name)[0] for name in ("shards", "whole"))
    assert list(shards.methods["off"]) == list(whole.methods["off"]) == list(Steps().cases)
    assert figures(tmp_path / "shards") == figures(tmp_path / "whole")


def test_cases_that_cannot_be_read_are_noted_and_tried_again(tmp_path: Path) -> None:
    ear = evaluate(tmp_path, Steps(broken=("d",)), Off())
    results = read_results(tmp_path)[0]
    assert results.unreadable == {"d": "d.jpg is missing"}
    assert "d" not in results.methods["off"]
    assert "steps d cannot be read: d.jpg is missing" in ear.lines
    evaluate(tmp_path, Steps(), Off())
    results = read_results(tmp_path)[0]
    assert results.unreadable == {}
    assert "d" in results.methods["off"]


def test_progress_is_told(tmp_path: Path) -> None:
    ear = evaluate(tmp_path, Steps(), Off())
    assert ear.steps == [(0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_every_case_has_a_picture(tmp_path: Path) -> None:
    evaluate(tmp_path, Steps(), Off(), Fails())
    results = read_results(tmp_path)[0]
    for method, cases in results.methods.items():
        assert all(results.picture(method, case).is_file() for case in cases)


def test_results_tell_what_they_were_made_with(tmp_path: Path) -> None:
    evaluate(tmp_path, Steps(), Off(error=2))
    result = read_results(tmp_path)[0].methods["off"]["b/c"]
    assert result.settings == {"error": 2}
    assert result.photos == 2
    assert result.frames_hash == frames_hash([frame(0), frame(1)])
    assert {"fast3r", "python", "numpy", "torch", "system"} <= set(result.machine)
    assert result.seconds >= 0


def test_the_fingerprint_tells_photos_and_cameras_apart() -> None:
    alike = [frames_hash([frame(0)]) for _ in range(2)]
    assert alike[0] == alike[1]
    assert len({alike[0], frames_hash([frame(1)]), frames_hash([frame(0, brightness=1)])}) == 3


@pytest.mark.parametrize(
    ("limit", "chosen"), [(None, "abcdef"), (9, "abcdef"), (3, "ace"), (1, "a")]
)
def test_cases_are_chosen_evenly(limit: int | None, chosen: str) -> None:
    assert "".join(choose_cases("abcdef", limit)) == chosen


def test_no_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="--cases must be at least 1, got 0"):
        choose_cases("abc", 0)


def test_answers_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 entries in world_from_camera for 3 photos"):
        check_answer(truth([frame(0), frame(1)]), 3)


def test_impossible_intrinsics_are_refused() -> None:
    answer = truth([frame(0)])
    wrong = Answer(answer.world_from_camera, [-np.eye(3)], answer.dense)
    with pytest.raises(ValueError, match="intrinsics of photo 0 are impossible"):
        check_answer(wrong, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": np.zeros((3, 4))}, "points, depth and confidence of shapes"),
        ({"depth": np.full((24, 32), np.nan)}, "not finite; unknown depth is 0"),
        ({"photo_from_grid": np.diag([1.0, -1, 1])}, "does not stand upright"),
    ],
)
def test_impossible_surfaces_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    answer = truth([frame(0)])
    for name, value in change.items():
        # Past the check of shapes, which is only there in tests.
        object.__setattr__(answer.dense[0], name, value)
    with pytest.raises(ValueError, match=message):
        check_answer(answer, 1)
