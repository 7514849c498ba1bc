"""Held-out procedural scenes: the truth scores perfectly, known errors give what they are."""

from collections.abc import Sequence

import numpy as np
import pytest

from fast3r.data.frame import Frame
from fast3r.data.procedural.generate import generate
from fast3r.evaluation.benchmark import Answer
from fast3r.evaluation.benchmarks.procedural import EDITION, HELD_OUT_SEED, Procedural
from fast3r.evaluation.methods.trivial import Trivial
from tests.evaluation.known_answers import answer, nothing, turned_about_its_axis

CENTRES_M = [[-6.4553, -0.5297, 6.5387], [0.0733, 5.4645, 5.4484], [-4.3512, 3.1005, 6.4355]]
BRIGHTNESS = [113.84, 107.07, 118.33]


@pytest.fixture(scope="module")
def benchmark() -> Procedural:
    return Procedural(views=3, height=48, width=64, cases=2)


@pytest.fixture(scope="module")
def frames(benchmark: Procedural) -> Sequence[Frame]:
    return benchmark.frames("scene-000")


def test_the_truth_in_another_world_scores_perfectly(benchmark, frames) -> None:
    score = benchmark.score(frames, answer(frames))
    assert set(score) == set(benchmark.columns)
    for column in ("RRA@15 %", "RTA@15 %", "registered %"):
        assert score[column] == 100
    assert score["AUC@5 %"] > 99.9
    for column in ("rotation deg", "focal error %", "depth AbsRel", "point error %"):
        assert score[column] == pytest.approx(0, abs=1e-3)


def test_a_turn_of_one_camera_is_its_rotation_error(benchmark, frames) -> None:
    turn = turned_about_its_axis(9)
    made = answer(frames, pose=lambda place, pose: turn(pose) if place == 0 else pose)
    score = benchmark.score(frames, made)
    # Two of three pairs are 9 degrees off.
    assert score["rotation deg"] == pytest.approx(9)
    assert score["RRA@15 %"] == 100


def test_far_depth_that_is_stretched_has_a_known_error(benchmark, frames) -> None:
    def stretched(place: int, depth: np.ndarray) -> np.ndarray:
        # Beyond the median, which the scale is taken from.
        far = depth > np.quantile(depth[depth > 0], 0.6)
        return np.where(far, 1.2 * depth, depth)

    score = benchmark.score(frames, answer(frames, depth=stretched))
    assert score["depth AbsRel"] == pytest.approx(0.4 * 0.2, rel=0.02)


def test_points_off_by_a_known_noise_have_that_error(benchmark, frames) -> None:
    random = np.random.default_rng(0)
    made = answer(frames, points=lambda _, p: p + random.normal(0, 0.01, p.shape))
    cloud = np.concatenate([_points(frame) for frame in frames])
    spread = np.sqrt(np.square(cloud - cloud.mean(axis=0)).sum(axis=-1).mean())
    # The mean length of a vector of three unit normals.
    expected = 100 * 0.01 * np.sqrt(8 / np.pi) / spread
    assert benchmark.score(frames, made)["point error %"] == pytest.approx(expected, rel=0.02)


def _points(frame: Frame) -> np.ndarray:
    made = answer([frame]).dense[0]
    assert made is not None
    return (made.points / 0.37)[made.depth > 0]


def test_a_view_without_answer_counts_as_wrong(benchmark, frames) -> None:
    whole = answer(frames)
    partial = Answer(
        [*whole.world_from_camera[:2], None],
        [*whole.intrinsics[:2], None],
        [*whole.dense[:2], None],
    )
    score = benchmark.score(frames, partial)
    assert score["RRA@15 %"] == pytest.approx(100 / 3)
    assert score["registered %"] == pytest.approx(200 / 3)
    assert score["depth AbsRel"] == pytest.approx(1 / 3, abs=1e-3)
    assert score["focal error %"] == pytest.approx(0, abs=1e-6)


def test_no_answer_is_the_figures_of_a_failure_but_says_nothing_of_depth(benchmark, frames) -> None:
    score, failure = benchmark.score(frames, nothing(frames)), benchmark.failure(frames)
    for column in ("AUC@30 %", "RRA@15 %", "RTA@15 %", "rotation deg", "registered %"):
        assert score[column] == failure[column]
    assert np.isnan(score["depth AbsRel"])
    assert failure["depth AbsRel"] == 1


def test_the_trivial_answer_is_neither_perfect_nor_a_failure(benchmark, frames) -> None:
    score = benchmark.score(frames, Trivial()([frame.image for frame in frames]))
    assert score["registered %"] == 100
    assert score["AUC@30 %"] < 60
    assert 0.02 < score["depth AbsRel"] < 1
    assert score["point error %"] > 5


def test_scenes_are_the_same_each_time_and_differ_from_each_other(benchmark, frames) -> None:
    again = benchmark.frames("scene-000")
    assert all((a.image == b.image).all() for a, b in zip(frames, again, strict=True))
    other = benchmark.frames("scene-001")
    assert any((a.image != b.image).any() for a, b in zip(frames, other, strict=True))


def test_the_photos_are_those_of_this_edition(frames) -> None:
    """Where this fails, the generator has changed its photos: raise EDITION and these numbers."""
    assert EDITION == 1
    centres = np.stack([frame.world_from_camera[:3, 3] for frame in frames])
    assert centres == pytest.approx(np.array(CENTRES_M), abs=1e-3)
    brightness = [frame.image.mean() for frame in frames]
    assert brightness == pytest.approx(BRIGHTNESS, abs=0.3)


def test_scenes_with_two_photos_from_one_place_are_drawn_again(monkeypatch, benchmark) -> None:
    seeds = []

    def generated(config, *, seed: int, **options):
        seeds.append(seed)
        sample = generate(config, seed=HELD_OUT_SEED, **options)
        if len(seeds) == 1:
            sample.world_from_camera[0, 2] = sample.world_from_camera[0, 0]
        return sample

    monkeypatch.setattr("fast3r.evaluation.benchmarks.procedural.generate", generated)
    frames = benchmark.frames("scene-001")
    assert seeds == [HELD_OUT_SEED + 1, HELD_OUT_SEED + 1_000_001]
    assert (frames[0].world_from_camera != frames[2].world_from_camera).any()
