"""Metrics: known answers, and the reference's numbers where they are exact."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from fast3r.evaluation.metrics import (
    area_under_curve,
    depth_error,
    line_angle_deg,
    relative_pose_errors,
    share_below,
)
from fast3r.geometry.transforms import rotation_exp

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "pose_metrics.npz"


def random_poses(seed: int, views: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    poses = torch.eye(4, dtype=torch.float64).repeat(views, 1, 1)
    poses[:, :3, :3] = rotation_exp(torch.randn(views, 3, generator=generator).double())
    poses[:, :3, 3] = torch.randn(views, 3, generator=generator).double()
    return poses


@pytest.mark.parametrize("name", ["small_err", "mid_err", "large_err"])
def test_pose_errors_equal_the_reference(name: str) -> None:
    with np.load(GOLDEN) as golden:
        predicted = torch.from_numpy(golden[f"{name}_pred_c2w"]).double()
        truth = torch.from_numpy(golden[f"{name}_gt_c2w"]).double()
        rotation_deg, translation_deg = relative_pose_errors(list(predicted), truth)
        expected = torch.from_numpy(golden[f"{name}_rel_rangle_deg"]).double()
        torch.testing.assert_close(rotation_deg, expected, rtol=1e-3, atol=0.02)
        expected = torch.from_numpy(golden[f"{name}_rel_tangle_deg"]).double()
        torch.testing.assert_close(translation_deg, expected, rtol=1e-3, atol=0.05)
        for limit in (5, 15, 30):
            assert share_below(rotation_deg, limit) == pytest.approx(golden[f"{name}_RRA{limit}"])
            assert share_below(translation_deg, limit) == pytest.approx(
                golden[f"{name}_RTA{limit}"]
            )
        # The reference counts in bins of about 1 degree, ours is exact.
        auc = area_under_curve(rotation_deg, translation_deg, 30)
        assert auc == pytest.approx(float(golden[f"{name}_mAA30"]), abs=1 / 30)


def test_equal_poses_have_no_error() -> None:
    poses = random_poses(0)
    rotation_deg, translation_deg = relative_pose_errors(list(poses), poses)
    assert rotation_deg.max() == 0
    assert translation_deg.max() < 1e-5
    assert area_under_curve(rotation_deg, translation_deg, 30) == pytest.approx(1)


def test_errors_do_not_change_when_the_predicted_world_is_moved_and_scaled() -> None:
    truth, predicted = random_poses(0), random_poses(1)
    moved = random_poses(2)[0] @ predicted
    moved[:, :3, 3] *= 3
    scaled = predicted.clone()
    scaled[:, :3, 3] *= 3
    for a, b in zip(
        relative_pose_errors(list(predicted), truth),
        relative_pose_errors(list(random_poses(2)[0] @ scaled), truth),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_pairs_of_an_unregistered_view_count_as_wrong() -> None:
    truth = random_poses(0)
    predicted = [truth[0], None, truth[2], truth[3]]
    rotation_deg, translation_deg = relative_pose_errors(predicted, truth)
    with_it = torch.tensor([1 in pair for pair in combinations(range(4), 2)])
    assert (rotation_deg[with_it] == 180).all()
    assert (translation_deg[with_it] == 90).all()
    assert share_below(rotation_deg, 5) == pytest.approx(0.5)


def test_a_known_rotation_gives_its_angle() -> None:
    truth = random_poses(0, views=2)
    turned = truth.clone()
    turned[1, :3, :3] = turned[1, :3, :3] @ rotation_exp(
        torch.tensor([0, 0, np.pi / 18], dtype=torch.float64)
    )
    rotation_deg, _ = relative_pose_errors(list(turned), truth)
    assert rotation_deg.item() == pytest.approx(10)


def test_opposite_directions_are_the_same_line() -> None:
    a = torch.tensor([1.0, 2.0, 3.0])
    assert line_angle_deg(a, -a).item() == pytest.approx(0, abs=1e-3)
    assert line_angle_deg(a, torch.zeros(3)).item() == 90


def test_the_area_of_one_error_is_what_is_left_of_the_limit() -> None:
    errors = torch.tensor([6.0])
    assert area_under_curve(errors, errors / 2, 30) == pytest.approx(0.8)


def test_depth_error_forgives_scale_and_nothing_else() -> None:
    truth = torch.rand(8, 8) + 1
    valid = torch.ones(8, 8, dtype=torch.bool)
    assert depth_error(truth * 5, truth, valid) == pytest.approx(0, abs=1e-6)
    flat = torch.ones(8, 8)
    expected = ((truth.median() - truth).abs() / truth).mean().item()
    assert depth_error(flat, truth, valid) == pytest.approx(expected)
    assert np.isnan(depth_error(flat, truth, ~valid))
