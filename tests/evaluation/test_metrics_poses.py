"""Known answers, and the reference's numbers."""

from itertools import combinations

import pytest
import torch

from fast3r.evaluation.metrics.poses import (
    area_under_curve,
    binned_area_under_curve,
    line_angle_deg,
    pose_score,
    relative_pose_errors,
    share_below,
)
from tests.evaluation.trajectory import in_world, random_map, random_poses, turned
from tests.geometry.golden import Golden

SETS = ["small_err", "mid_err", "large_err", "zero_err"]


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden("pose_metrics.npz")


def errors_of(golden: Golden, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    predicted, truth = golden[f"{name}_pred_c2w"].double(), golden[f"{name}_gt_c2w"].double()
    return relative_pose_errors(list(predicted), truth)


@pytest.mark.parametrize("name", ["small_err", "mid_err", "large_err"])
def test_errors_of_pairs_are_the_references(golden: Golden, name: str) -> None:
    rotation_deg, translation_deg = errors_of(golden, name)
    expected = golden[f"{name}_rel_rangle_deg"].double()
    torch.testing.assert_close(rotation_deg, expected, rtol=1e-3, atol=0.02)
    expected = golden[f"{name}_rel_tangle_deg"].double()
    torch.testing.assert_close(translation_deg, expected, rtol=1e-3, atol=0.05)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("limit", [5, 15, 30])
def test_shares_are_the_references(golden: Golden, name: str, limit: int) -> None:
    rotation_deg, translation_deg = errors_of(golden, name)
    assert share_below(rotation_deg, limit) == pytest.approx(golden[f"{name}_RRA{limit}"].item())
    assert share_below(translation_deg, limit) == pytest.approx(golden[f"{name}_RTA{limit}"].item())


@pytest.mark.parametrize("name", SETS)
def test_the_binned_area_is_the_references_maa(golden: Golden, name: str) -> None:
    errors = errors_of(golden, name)
    found = binned_area_under_curve(*errors, 30, variant="fast3r")
    assert found == pytest.approx(golden[f"{name}_mAA30"].item(), abs=1e-6)
    found = binned_area_under_curve(*errors, 30, variant="vggt")
    assert found == pytest.approx(golden[f"{name}_mAA30_np"].item(), abs=1e-6)


@pytest.mark.parametrize("name", SETS)
def test_the_exact_area_is_within_a_bin_of_the_references(golden: Golden, name: str) -> None:
    exact = area_under_curve(*errors_of(golden, name), 30)
    assert 0 <= golden[f"{name}_mAA30"].item() - exact <= 1 / 30


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_poses_have_no_error(dtype: torch.dtype) -> None:
    poses = random_poses(0).to(dtype)
    rotation_deg, translation_deg = relative_pose_errors(list(poses), poses)
    assert rotation_deg.max() == 0
    assert translation_deg.max() < 1e-5
    score = pose_score(rotation_deg, translation_deg)
    assert score.rra5 == score.rta5 == 1
    assert score.auc3 == pytest.approx(1)


def test_errors_do_not_change_when_the_predicted_world_is_moved_and_scaled() -> None:
    truth, predicted = random_poses(0), random_poses(1)
    before = relative_pose_errors(list(predicted), truth)
    after = relative_pose_errors(list(in_world(random_map(2), predicted)), truth)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("lost", [None, torch.full((4, 4), torch.nan, dtype=torch.float64)])
def test_pairs_of_an_unregistered_view_count_as_wrong(lost: torch.Tensor | None) -> None:
    truth = random_poses(0)
    rotation_deg, translation_deg = relative_pose_errors([truth[0], lost, *truth[2:]], truth)
    with_it = torch.tensor([1 in pair for pair in combinations(range(4), 2)])
    assert (rotation_deg[with_it] == 180).all()
    assert (translation_deg[with_it] == 90).all()
    assert share_below(rotation_deg, 5) == pytest.approx(0.5)


def test_poses_may_be_of_another_number_format_than_the_truth() -> None:
    truth = random_poses(0)
    rotation_deg, _ = relative_pose_errors([truth[0].float(), None, *truth[2:]], truth)
    assert rotation_deg.dtype == torch.float64
    assert rotation_deg[1] < 1e-4


def test_a_known_rotation_gives_its_angle() -> None:
    truth = random_poses(0, views=2)
    rotation_deg, _ = relative_pose_errors([truth[0], turned(truth[1], 10)], truth)
    assert rotation_deg.item() == pytest.approx(10)


def test_a_known_direction_gives_its_angle() -> None:
    truth = torch.eye(4).repeat(2, 1, 1)
    truth[1, 0, 3] = 1
    predicted = truth.clone()
    predicted[1, 1, 3] = 1
    _, translation_deg = relative_pose_errors(list(predicted), truth)
    assert translation_deg.item() == pytest.approx(45)


def test_a_missing_entry_is_refused() -> None:
    truth = random_poses(0)
    with pytest.raises(ValueError, match="a pose or None for each of 4 views, got 3"):
        relative_pose_errors(list(truth[:3]), truth)


def test_opposite_directions_are_the_same_line() -> None:
    a = torch.tensor([1.0, 2.0, 3.0])
    assert line_angle_deg(a, -a).item() == pytest.approx(0, abs=1e-3)
    assert line_angle_deg(a, torch.zeros(3)).item() == 90


def test_the_area_of_one_error_is_what_is_left_of_the_limit() -> None:
    errors = torch.tensor([6.0])
    assert area_under_curve(errors, errors / 2, 30) == pytest.approx(0.8)


def test_the_binned_area_counts_an_error_in_its_own_bin() -> None:
    # Of 30 bins of 1 degree, those from the seventh on hold it.
    errors = torch.tensor([6.5])
    found = binned_area_under_curve(errors, errors, 30, variant="vggt")
    assert found == pytest.approx(24 / 30)


def test_a_score_reports_each_share_and_area_under_its_own_name() -> None:
    rotation_deg = torch.tensor([1.0, 10.0, 20.0, 60.0])
    translation_deg = torch.tensor([2.0, 4.0, 6.0, 80.0])
    score = pose_score(rotation_deg, translation_deg)
    assert (score.rra5, score.rra15, score.rra30) == (0.25, 0.5, 0.75)
    assert (score.rta5, score.rta15, score.rta30) == (0.5, 0.75, 0.75)
    for limit in (3, 5, 10, 20, 30):
        expected = area_under_curve(rotation_deg, translation_deg, limit)
        assert getattr(score, f"auc{limit}") == expected
    assert score.rotation_deg == 10


def test_a_single_view_has_no_score() -> None:
    score = pose_score(*relative_pose_errors([torch.eye(4)], torch.eye(4)[None]))
    assert score.rra5 != score.rra5
    assert score.rotation_deg != score.rotation_deg
    nothing = torch.zeros(0)
    area = binned_area_under_curve(nothing, nothing, 30, variant="fast3r")
    assert area != area
