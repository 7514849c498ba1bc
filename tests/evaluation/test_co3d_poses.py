import json
from pathlib import Path

import numpy as np
import pytest

from fast3r.evaluation.benchmark import Benchmark
from fast3r.evaluation.benchmarks.pair_poses import AUC_30_BINNED, MAA_30
from fast3r.evaluation.catalog import open_benchmarks
from tests.datasets.evaluation_sets import shots, small_camera, write_co3d_raw
from tests.datasets.wall import Shot, write_photo
from tests.evaluation.known_answers import answer, nothing, turned_about_its_axis

TAKEN = shots(6, small_camera(96, 128), 96, 128)
SEQUENCE = "110_13051_23361"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write_co3d_raw(tmp_path, "apple", {SEQUENCE: TAKEN, "2_2_2": TAKEN[:2]})
    return tmp_path


def opened(root: Path, views: int, variant: str = "fast3r") -> Benchmark:
    (benchmark,) = open_benchmarks("co3d", root, views=[views], variant=variant)
    return benchmark


def write_preprocessed(root: Path, taken: list[Shot]) -> None:
    """Write what DUSt3R's preprocess_co3d.py leaves."""
    (root / "selected_seqs_test.json").write_text(
        json.dumps({"apple": {SEQUENCE: list(range(1, len(taken) + 1))}})
    )
    for number, shot in enumerate(taken, start=1):
        name = f"frame{number:06}"
        folder = root / "apple" / SEQUENCE
        write_photo(folder / "images" / f"{name}.jpg", shot.image)
        stored = (shot.depth_m / 4 * 65535).astype(np.uint16)
        write_photo(folder / "depths" / f"{name}.jpg.geometric.png", stored)
        np.savez(
            folder / "images" / f"{name}.npz",
            camera_pose=shot.world_from_camera,
            camera_intrinsics=shot.integer_centred,
            maximum_depth=np.float64(4),
        )


def test_a_perfect_answer_in_another_world_scores_perfectly(raw: Path) -> None:
    benchmark = opened(raw, 3)
    frames = benchmark.frames(f"apple/{SEQUENCE}")
    score = benchmark.score(frames, answer(frames))
    assert list(score) == list(benchmark.columns)
    np.testing.assert_allclose(list(score.values()), 100, atol=1e-3)


def test_one_camera_of_three_that_is_turned_by_ten_degrees_spoils_two_pairs(raw: Path) -> None:
    benchmark = opened(raw, 3)
    frames = benchmark.frames(f"apple/{SEQUENCE}")
    turn = turned_about_its_axis(10.4)
    score = benchmark.score(frames, answer(frames, pose=lambda i, p: turn(p) if i == 2 else p))
    assert score["RRA@5 %"] == pytest.approx(100 / 3)
    assert score["RRA@15 %"] == score["RTA@5 %"] == pytest.approx(100)
    assert score["AUC@30 %"] == pytest.approx(100 * (1 + 2 * (1 - 10.4 / 30)) / 3, abs=1e-3)
    # An error of 10.4 degrees falls into the 11th of 31 bins and of 30, which counts as a whole.
    assert score[MAA_30] == pytest.approx(100 * (1 + 2 * 21 / 31) / 3)
    assert score[AUC_30_BINNED] == pytest.approx(100 * (1 + 2 * 20 / 30) / 3)


def test_a_method_that_places_nothing_gets_the_figures_of_a_failure(raw: Path) -> None:
    benchmark = opened(raw, 3)
    frames = benchmark.frames(f"apple/{SEQUENCE}")
    score = benchmark.score(frames, nothing(frames))
    assert score == benchmark.failure(frames)
    assert set(score.values()) == {0.0}


def test_photos_are_cut_to_the_papers_size_around_the_principal_point(raw: Path) -> None:
    (frame, *_) = opened(raw, 3).frames(f"apple/{SEQUENCE}")
    assert frame.image.shape == (384, 512, 3)
    np.testing.assert_allclose(frame.intrinsics[:2, 2], (256, 192), atol=1)


def test_the_same_frames_are_chosen_each_time_and_fewer_are_among_more(raw: Path) -> None:
    def names(views: int) -> list[str]:
        return [frame.name for frame in opened(raw, views).frames(f"apple/{SEQUENCE}")]

    assert names(3) == names(3) == sorted(names(3))
    assert set(names(3)) < set(names(5))


def test_sequences_with_too_few_frames_are_left_out_and_counted(raw: Path) -> None:
    benchmark = opened(raw, 3)
    assert benchmark.cases == [f"apple/{SEQUENCE}"]
    assert "1 of 2 have enough frames" in benchmark.protocol


def test_the_preprocessed_dataset_gives_the_same_truth_as_the_download(
    raw: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "preprocessed"
    folder.mkdir()
    write_preprocessed(folder, TAKEN)
    made = opened(folder, 6).frames(f"apple/{SEQUENCE}")
    for ours, true in zip(made, opened(raw, 6).frames(f"apple/{SEQUENCE}"), strict=True):
        np.testing.assert_allclose(ours.world_from_camera, true.world_from_camera, atol=1e-9)
        np.testing.assert_allclose(ours.intrinsics, true.intrinsics, atol=1e-6)


def test_the_protocol_of_vggt_asks_for_fifty_frames_of_training_categories(raw: Path) -> None:
    with pytest.raises(ValueError, match=r"none of the 2 scenes .* has 50 frames"):
        opened(raw, 10, "vggt")
    write_co3d_raw(raw, "kite", {"9_9_9": [TAKEN[0]] * 50})
    write_co3d_raw(raw, "bench", {"3_3_3": [TAKEN[0]] * 50})
    benchmark = opened(raw, 10, "vggt")
    assert benchmark.cases == ["bench/3_3_3"]
    assert benchmark.frames("bench/3_3_3")[0].image.shape == (96, 128, 3)


def test_published_figures_are_columns_of_the_table_and_of_ten_views_only(raw: Path) -> None:
    write_co3d_raw(raw, "bench", {"3_3_3": [TAKEN[0]] * 50})
    for variant in ("fast3r", "vggt", "pi3"):
        benchmark = opened(raw, 10, variant)
        assert benchmark.published
        assert {c for row in benchmark.published.values() for c in row} <= set(benchmark.columns)
    assert opened(raw, 3).published == {}


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not laid out as CO3Dv2"):
        opened(tmp_path, 10)
