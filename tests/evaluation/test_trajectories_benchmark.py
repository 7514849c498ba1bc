from pathlib import Path

import numpy as np
import pytest

from fast3r.evaluation.benchmark import Benchmark
from fast3r.evaluation.catalog import open_benchmarks
from tests.datasets.evaluation_sets import (
    FREIBURG3,
    shots,
    small_camera,
    write_scannet,
    write_tum,
)
from tests.evaluation.known_answers import answer, nothing, turned_about_its_axis

WALKING = "rgbd_dataset_freiburg3_walking_xyz"


@pytest.fixture(params=["tum", "scannet"])
def benchmark(request: pytest.FixtureRequest, tmp_path: Path) -> Benchmark:
    if request.param == "tum":
        write_tum(tmp_path, WALKING, shots(14, FREIBURG3, 24, 32))
    else:
        write_scannet(tmp_path, "scene0710_00", shots(14, small_camera(24, 32), 24, 32))
    (opened,) = open_benchmarks(request.param, tmp_path)
    return opened


def test_every_third_frame_is_a_photo(benchmark: Benchmark) -> None:
    assert len(benchmark.frames(benchmark.cases[0])) == 5


def test_a_perfect_answer_in_another_world_scores_perfectly(benchmark: Benchmark) -> None:
    frames = benchmark.frames(benchmark.cases[0])
    score = benchmark.score(frames, answer(frames))
    figures = [score[name] for name in benchmark.columns]
    np.testing.assert_allclose(figures, (0, 0, 0, 100), atol=1e-5)


def test_every_second_camera_turned_by_ten_degrees_turns_each_step(benchmark: Benchmark) -> None:
    frames = benchmark.frames(benchmark.cases[0])
    turn = turned_about_its_axis(10)
    score = benchmark.score(frames, answer(frames, pose=lambda i, p: turn(p) if i % 2 else p))
    assert score["RPE deg"] == pytest.approx(10)
    assert score["ATE m"] == pytest.approx(0, abs=1e-6)


def test_a_method_that_places_nothing_gets_the_figures_of_a_failure(benchmark: Benchmark) -> None:
    frames = benchmark.frames(benchmark.cases[0])
    score = benchmark.score(frames, nothing(frames))
    np.testing.assert_equal(dict(score), dict(benchmark.failure(frames)))
    assert score["registered %"] == 0
    assert np.isnan(score["ATE m"])


def test_published_figures_are_columns_of_the_table(benchmark: Benchmark) -> None:
    assert {c for row in benchmark.published.values() for c in row} <= set(benchmark.columns)


def test_other_sequences_alone_are_refused(tmp_path: Path) -> None:
    write_tum(tmp_path, "rgbd_dataset_freiburg1_desk", shots(2, FREIBURG3, 24, 32))
    with pytest.raises(ValueError, match="1 scenes such as rgbd_dataset_freiburg1_desk, none of"):
        open_benchmarks("tum", tmp_path)


def test_other_scenes_are_left_out(tmp_path: Path) -> None:
    taken = shots(2, small_camera(24, 32), 24, 32)
    for scene in ("scene0000_00", "scene0706_00", "scene0707_00", "scene0806_00", "scene0807_00"):
        write_scannet(tmp_path, scene, taken)
    (benchmark,) = open_benchmarks("scannet", tmp_path)
    assert benchmark.cases == ["scene0707_00", "scene0806_00"]
