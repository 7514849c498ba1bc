from pathlib import Path

import numpy as np
import pytest

from fast3r.evaluation.benchmark import Answer, Benchmark
from fast3r.evaluation.benchmarks.multiview_depth import nearest_cameras
from fast3r.evaluation.catalog import open_benchmarks
from tests.datasets.evaluation_sets import (
    shots,
    small_camera,
    write_dtu,
    write_eth3d,
    write_robustmvd,
    write_scannet,
)
from tests.datasets.wall import write_photo
from tests.evaluation.known_answers import answer, nothing

SMALL = shots(5, small_camera(36, 48), 36, 48)


@pytest.fixture(params=["eth3d-depth", "dtu-depth", "scannet-depth", "list"])
def benchmark(request: pytest.FixtureRequest, tmp_path: Path) -> Benchmark:
    if request.param == "list":
        write_robustmvd(tmp_path, shots(3, small_camera(240, 360), 240, 360), key=2)
        (opened,) = open_benchmarks("eth3d-depth", tmp_path, variant="robustmvd")
        return opened
    if request.param == "eth3d-depth":
        write_eth3d(tmp_path, "courtyard", shots(3, small_camera(240, 360), 240, 360))
    elif request.param == "dtu-depth":
        write_dtu(tmp_path, "scan1", SMALL)
    else:
        write_scannet(tmp_path, "scene0000_00", shots(45, small_camera(36, 48), 36, 48))
    (opened,) = open_benchmarks(request.param, tmp_path, variant="spread")
    return opened


def first(benchmark: Benchmark) -> list:
    return list(benchmark.frames(benchmark.cases[0]))


def test_a_perfect_answer_in_another_unit_scores_perfectly(benchmark: Benchmark) -> None:
    frames = first(benchmark)
    score = benchmark.score(frames, answer(frames))
    figures = [score[name] for name in benchmark.columns]
    np.testing.assert_allclose(figures, (0, 100, 100), atol=1e-4)


def test_depth_two_percent_off_everywhere_is_forgiven(benchmark: Benchmark) -> None:
    frames = first(benchmark)
    score = benchmark.score(frames, answer(frames, depth=lambda _, depth: 1.02 * depth))
    assert score["AbsRel %"] == pytest.approx(0, abs=1e-4)


def test_a_method_without_depth_gets_the_figures_of_a_failure(benchmark: Benchmark) -> None:
    frames = first(benchmark)
    assert benchmark.score(frames, nothing(frames)) == benchmark.failure(frames)


def test_a_tenth_of_the_pixels_ten_percent_off_is_an_absrel_of_one(tmp_path: Path) -> None:
    flat = [
        s.__class__(s.image, np.full((40, 50), 2.0), s.intrinsics, s.world_from_camera)
        for s in shots(2, small_camera(40, 50), 40, 50)
    ]
    write_scannet(tmp_path, "scene0000_00", flat)
    (benchmark,) = open_benchmarks("scannet-depth", tmp_path, variant="spread")

    def spoiled(_place: int, depth: np.ndarray) -> np.ndarray:
        depth = depth.copy()
        depth[:4] *= 1.1
        return depth

    frames = first(benchmark)
    score = benchmark.score(frames, answer(frames, depth=spoiled))
    assert score["AbsRel %"] == pytest.approx(1)
    assert score["inliers@1.03 %"] == pytest.approx(90)


def test_pixels_that_a_method_cuts_off_do_not_count(tmp_path: Path) -> None:
    write_scannet(tmp_path, "scene0000_00", SMALL[:2])
    (benchmark,) = open_benchmarks("scannet-depth", tmp_path, variant="spread")
    frames = first(benchmark)
    # A grid of coarse pixels of 11 px fills 33 of 36 rows and 44 of 48 columns.
    whole = answer(frames, stride=11)
    half = benchmark.score(frames, Answer(whole.world_from_camera, whole.intrinsics, whole.dense))
    assert half["answered %"] == pytest.approx(100 * 33 * 44 / (36 * 48))
    assert half["AbsRel %"] < 10


def test_pixels_that_a_method_does_not_know_count_as_wrong(tmp_path: Path) -> None:
    write_scannet(tmp_path, "scene0000_00", SMALL[:2])
    (benchmark,) = open_benchmarks("scannet-depth", tmp_path, variant="spread")

    def holes(_place: int, depth: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(depth))[:, None] < 9, 0, depth)

    frames = first(benchmark)
    score = benchmark.score(frames, answer(frames, depth=holes))
    assert score["AbsRel %"] == pytest.approx(25)
    assert score["answered %"] == pytest.approx(100)


def test_a_key_view_without_true_depth_has_no_figures(tmp_path: Path) -> None:
    write_scannet(tmp_path, "scene0000_00", SMALL[:2])
    write_photo(tmp_path / "scene0000_00" / "depth" / "0.png", np.zeros((36, 48), np.uint16))
    (benchmark,) = open_benchmarks("scannet-depth", tmp_path, variant="spread")
    frames = first(benchmark)
    assert np.isnan(list(benchmark.score(frames, nothing(frames)).values())).all()


def test_the_key_view_comes_first_and_the_best_of_the_others_next(tmp_path: Path) -> None:
    write_dtu(tmp_path, "scan1", SMALL)
    (benchmark,) = open_benchmarks("dtu-depth", tmp_path, variant="spread")
    assert list(benchmark.cases) == [f"scan1/{place}" for place in range(5)]
    names = [frame.name for frame in benchmark.frames("scan1/2")]
    assert names == ["00000002", "00000000", "00000001", "00000003", "00000004"]


def test_frames_around_the_key_view_of_a_video_are_ten_apart(tmp_path: Path) -> None:
    write_scannet(tmp_path, "scene0000_00", shots(45, small_camera(12, 16), 12, 16))
    (benchmark,) = open_benchmarks("scannet-depth", tmp_path, variant="spread")
    names = [frame.name for frame in benchmark.frames("scene0000_00/0")]
    assert names == ["11", "1", "21", "31", "41"]


def test_the_nearest_cameras_are_those_that_look_the_same_way() -> None:
    poses = {name: np.eye(4) for name in "abcd"}
    poses["b"][:3, 3] = 2, 0, 0
    poses["c"][:3, 3] = 1, 0, 0
    poses["d"][:3, :3] = np.diag([1.0, -1, -1])
    assert nearest_cameras(poses, "a", 10) == ["c", "b"]
    assert nearest_cameras(poses, "a", 1) == ["c"]


def test_published_figures_are_columns_of_the_table(tmp_path: Path) -> None:
    write_robustmvd(tmp_path, SMALL, key=0)
    (benchmark,) = open_benchmarks("eth3d-depth", tmp_path)
    assert benchmark.published
    assert {c for row in benchmark.published.values() for c in row} <= set(benchmark.columns)


def test_samples_of_tanks_and_temples_come_from_the_list_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tanks_and_temples.robustmvd.mvd.pickle"):
        open_benchmarks("tanks-and-temples-depth", tmp_path)
