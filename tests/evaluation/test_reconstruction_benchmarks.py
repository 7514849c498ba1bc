from pathlib import Path

import numpy as np
import pytest

from fast3r.evaluation.benchmark import Benchmark
from fast3r.evaluation.catalog import open_benchmarks
from tests.datasets.evaluation_sets import (
    KINECT,
    NRGBD,
    shots,
    small_camera,
    write_dtu,
    write_nrgbd,
    write_seven_scenes,
)
from tests.evaluation.known_answers import answer, nothing

STRIDE = 17


@pytest.fixture(params=["7-scenes", "nrgbd", "dtu"])
def benchmark(request: pytest.FixtureRequest, tmp_path: Path) -> Benchmark:
    if request.param == "7-scenes":
        write_seven_scenes(tmp_path, 3, shots(2, KINECT, 480, 640))
    elif request.param == "nrgbd":
        write_nrgbd(tmp_path, shots(2, NRGBD, 480, 640))
    else:
        write_dtu(tmp_path, "scan1", shots(6, small_camera(150, 200), 150, 200))
    (opened,) = open_benchmarks(request.param, tmp_path)
    return opened


def first(benchmark: Benchmark) -> list:
    return list(benchmark.frames(benchmark.cases[0]))


def test_a_perfect_answer_in_another_world_scores_perfectly(benchmark: Benchmark) -> None:
    frames = first(benchmark)
    score = benchmark.score(frames, answer(frames, stride=STRIDE))
    figures = [score[name] for name in benchmark.columns]
    np.testing.assert_allclose(figures, (0, 0, 0, 0, 0, 1, 1, 100), atol=1e-3)


def test_points_off_by_one_percent_to_both_sides_are_that_far_off(tmp_path: Path) -> None:
    flat = [
        s.__class__(s.image, np.full((480, 640), 2.0), s.intrinsics, np.eye(4))
        for s in shots(1, KINECT, 480, 640)
    ]
    write_seven_scenes(tmp_path, 3, flat)
    (benchmark,) = open_benchmarks("7-scenes", tmp_path)

    def bumps(_place: int, points: np.ndarray) -> np.ndarray:
        signs = (-1) ** np.add.outer(np.arange(points.shape[0]), np.arange(points.shape[1]))
        return points + 0.01 * signs[..., None] * [0, 0, 1]

    frames = first(benchmark)
    score = benchmark.score(frames, answer(frames, stride=STRIDE, points=bumps))
    for name in ("accuracy m", "completeness m", "accuracy median m", "chamfer m"):
        assert score[name] == pytest.approx(0.01, rel=0.01)
    assert score["F-score@0.05m %"] == 100


def test_a_method_without_surfaces_gets_the_figures_of_a_failure(benchmark: Benchmark) -> None:
    frames = first(benchmark)
    score = benchmark.score(frames, nothing(frames))
    np.testing.assert_equal(dict(score), dict(benchmark.failure(frames)))
    assert score["normals"] == 0
    assert np.isnan(score[benchmark.columns[0]])


def test_photos_are_cut_to_squares(benchmark: Benchmark) -> None:
    assert all(frame.image.shape == (512, 512, 3) for frame in first(benchmark))


def test_dtu_takes_every_fifth_photo_the_last_first(tmp_path: Path) -> None:
    write_dtu(tmp_path, "scan1", shots(6, small_camera(48, 64), 48, 64))
    (benchmark,) = open_benchmarks("dtu", tmp_path)
    assert [frame.name for frame in benchmark.frames("scan1")] == ["00000005", "00000000"]


def test_the_protocol_of_pi3_takes_whole_photos_in_order_and_ends_in_icp(tmp_path: Path) -> None:
    write_dtu(tmp_path, "scan1", shots(6, small_camera(60, 80), 60, 80))
    (benchmark,) = open_benchmarks("dtu", tmp_path, variant="pi3")
    frames = list(benchmark.frames("scan1"))
    assert [frame.name for frame in frames] == ["00000000", "00000005"]
    assert frames[0].image.shape == (60, 80, 3)
    assert "then point-to-point ICP within 100 mm" in benchmark.protocol
    score = benchmark.score(frames, answer(frames, stride=5))
    assert score["accuracy mm"] == pytest.approx(0, abs=1e-3)


def test_published_figures_are_columns_of_the_table(benchmark: Benchmark) -> None:
    assert benchmark.published
    assert {c for row in benchmark.published.values() for c in row} <= set(benchmark.columns)
