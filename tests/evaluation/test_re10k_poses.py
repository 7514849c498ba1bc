from pathlib import Path

import numpy as np
import pytest

from fast3r.evaluation.benchmark import Benchmark
from fast3r.evaluation.catalog import open_benchmarks
from tests.datasets.evaluation_sets import shots, small_camera, write_re10k, write_text
from tests.evaluation.known_answers import answer, nothing, turned_about_its_axis

CLIP = "0000cc6d8b108390"
TAKEN = shots(12, small_camera(72, 128), 72, 128)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_re10k(tmp_path, CLIP, TAKEN)
    return tmp_path


def opened(root: Path, variant: str = "fast3r") -> Benchmark:
    (benchmark,) = open_benchmarks("re10k", root, variant=variant)
    return benchmark


def test_a_perfect_answer_in_another_world_scores_perfectly(root: Path) -> None:
    benchmark = opened(root)
    frames = benchmark.frames(CLIP)
    score = benchmark.score(frames, answer(frames))
    np.testing.assert_allclose([score[name] for name in benchmark.columns], 100, atol=1e-3)


def test_the_last_camera_turned_by_ten_degrees_is_seen_in_rotations_alone(root: Path) -> None:
    benchmark = opened(root)
    frames = benchmark.frames(CLIP)
    turn = turned_about_its_axis(10)
    score = benchmark.score(frames, answer(frames, pose=lambda i, p: turn(p) if i == 9 else p))
    assert score["RRA@5 %"] == pytest.approx(100 * 36 / 45)
    assert score["RTA@5 %"] == pytest.approx(100)


def test_a_method_that_places_nothing_gets_the_figures_of_a_failure(root: Path) -> None:
    benchmark = opened(root)
    frames = benchmark.frames(CLIP)
    assert benchmark.score(frames, nothing(frames)) == benchmark.failure(frames)


def test_ten_photos_are_cut_to_512x288(root: Path) -> None:
    frames = opened(root).frames(CLIP)
    assert [frame.image.shape for frame in frames] == [(288, 512, 3)] * 10


def test_photos_stay_as_they_are_in_the_protocol_of_vggt(root: Path) -> None:
    assert opened(root, "vggt").frames(CLIP)[0].image.shape == (72, 128, 3)


def test_a_list_in_the_root_chooses_the_clips(root: Path) -> None:
    write_re10k(root, "another", TAKEN)
    assert opened(root).cases == [CLIP, "another"]
    write_text(root / "re10k_test_1800.txt", CLIP, "vanished")
    benchmark = opened(root)
    assert benchmark.cases == [CLIP]
    assert "clips of re10k_test_1800.txt, 1 of which have no photos here" in benchmark.protocol
    assert opened(root, "pi3").cases == [CLIP, "another"]


def test_published_figures_are_columns_of_the_table(root: Path) -> None:
    for variant in ("fast3r", "vggt", "pi3"):
        benchmark = opened(root, variant)
        assert {c for row in benchmark.published.values() for c in row} <= set(benchmark.columns)
