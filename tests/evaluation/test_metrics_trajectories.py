import math

import pytest
import torch

from fast3r.evaluation.alignment import align_poses
from fast3r.evaluation.metrics.trajectories import (
    absolute_errors,
    relative_errors,
    trajectory_errors,
)
from fast3r.geometry.transforms import Similarity, rotation_exp
from tests.evaluation.trajectory import (
    in_world,
    random_map,
    random_poses,
    turned,
)


@pytest.mark.parametrize("seed", range(3))
def test_another_world_of_another_scale_is_forgiven(seed: int) -> None:
    truth = random_poses(seed, views=8)
    errors = trajectory_errors(list(in_world(random_map(seed + 10), truth)), truth)
    assert errors.ate < 1e-12
    assert errors.rpe_translation < 1e-12
    assert errors.rpe_rotation_deg < 1e-5
    assert errors.registered == 8


def test_ate_is_the_least_squared_distance_over_all_similarities() -> None:
    truth, predicted = random_poses(0, views=6), random_poses(1, views=6)
    best = trajectory_errors(list(predicted), truth).ate
    fit = align_poses(list(predicted), truth)
    assert fit is not None
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        scale, turn, shift = (
            1e-2 * torch.randn(k, generator=generator).double() for k in (1, 3, 3)
        )
        near = Similarity(
            fit.scale * scale.exp()[0], rotation_exp(turn) @ fit.rotation, fit.translation + shift
        )
        distance = absolute_errors(list(predicted), truth, near)
        assert distance.square().mean().sqrt() >= best


def test_views_without_a_pose_are_left_out_and_counted() -> None:
    truth = random_poses(0, views=6)
    moved = in_world(random_map(1), truth)
    predicted = [*moved[:2], None, *moved[3:]]
    errors = trajectory_errors(predicted, truth)
    assert errors.ate < 1e-12
    assert errors.registered == 5
    fit = random_map(1).inverse()
    assert absolute_errors(predicted, truth, fit).isnan().tolist() == [k == 2 for k in range(6)]
    shift, turn_deg = relative_errors(predicted, truth, scale=1.0)
    assert shift.isnan().tolist() == turn_deg.isnan().tolist() == [False, True, True, False, False]


def test_two_poses_are_always_fitted_and_have_no_ate() -> None:
    predicted = [*random_poses(1)[:2], None, None]
    assert math.isnan(trajectory_errors(predicted, random_poses(0)).ate)


def test_no_poses_at_all_have_no_errors() -> None:
    errors = trajectory_errors([None] * 4, random_poses(0))
    assert math.isnan(errors.ate)
    assert math.isnan(errors.rpe_translation)
    assert math.isnan(errors.rpe_rotation_deg)
    assert errors.registered == 0


def test_cameras_all_in_one_place_are_as_wrong_as_the_truth_is_wide() -> None:
    truth = random_poses(0, views=6)
    stuck = truth.clone()
    stuck[:, :3, 3] = torch.tensor([1.0, 2.0, 3.0])
    centred = truth[:, :3, 3] - truth[:, :3, 3].mean(dim=0)
    expected = centred.square().sum(dim=-1).mean().sqrt().item()
    assert trajectory_errors(list(stuck), truth).ate == pytest.approx(expected)


def test_a_turned_camera_gives_rotation_errors_of_the_steps_that_touch_it() -> None:
    truth = random_poses(0, views=5)
    predicted = truth.clone()
    predicted[2] = turned(truth[2], 6)
    _, turn_deg = relative_errors(list(predicted), truth, scale=1.0)
    expected = torch.tensor([0, 6, 6, 0]).double()
    torch.testing.assert_close(turn_deg, expected, rtol=0, atol=1e-5)
    errors = trajectory_errors(list(predicted), truth)
    assert errors.rpe_rotation_deg == pytest.approx((2 * 36 / 4) ** 0.5)


def test_a_moved_camera_gives_translation_errors_of_the_steps_that_touch_it() -> None:
    truth = random_poses(0, views=5)
    predicted = truth.clone()
    predicted[2, 1, 3] += 0.3
    shift, _ = relative_errors(list(predicted), truth, scale=1.0)
    torch.testing.assert_close(shift, torch.tensor([0, 0.3, 0.3, 0]).double())


def test_measuring_leaves_the_poses_as_they_were() -> None:
    truth = random_poses(0)
    predicted = truth.clone()
    relative_errors(list(predicted), truth, scale=2.0)
    assert (predicted == truth).all()
