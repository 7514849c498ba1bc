import math

import pytest
import torch

from fast3r.evaluation.metrics.trajectories import (
    TrajectoryAlignment,
    absolute_errors,
    align_trajectory,
    relative_errors,
    trajectory_errors,
)
from fast3r.geometry.transforms import Similarity, rotation_exp
from tests.evaluation.trajectory import (
    in_world,
    line_of_poses,
    random_map,
    random_poses,
    turned,
)


def rigid_map(seed: int) -> Similarity:
    found = random_map(seed)
    return Similarity(torch.ones_like(found.scale), found.rotation, found.translation)


def scale_by(factor: float) -> Similarity:
    identity = torch.eye(3, dtype=torch.float64)
    return Similarity(torch.tensor(factor).double(), identity, torch.zeros(3).double())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alignment", ["similarity", "robust", "scale"])
def test_another_world_of_another_scale_is_forgiven(
    seed: int, alignment: TrajectoryAlignment
) -> None:
    truth = random_poses(seed, views=8)
    errors = trajectory_errors(
        list(in_world(random_map(seed + 10), truth)), truth, alignment=alignment
    )
    assert errors.ate < 1e-12
    assert errors.ate_max < 1e-12
    assert errors.rpe_translation < 1e-12
    assert errors.rpe_rotation_deg < 1e-5
    assert (errors.registered, errors.views) == (8, 8)


def test_rigid_alignment_forgives_the_world_but_not_the_scale() -> None:
    truth = random_poses(0, views=8)
    moved = list(in_world(rigid_map(1), truth))
    assert trajectory_errors(moved, truth, alignment="rigid").ate < 1e-12
    grown = list(in_world(rigid_map(1) @ scale_by(1.5), truth))
    centred = truth[:, :3, 3] - truth[:, :3, 3].mean(dim=0)
    expected = 0.5 * centred.square().sum(dim=-1).mean().sqrt().item()
    assert trajectory_errors(grown, truth, alignment="rigid").ate == pytest.approx(expected)


def test_without_alignment_a_shift_is_the_error() -> None:
    truth = random_poses(0, views=5)
    shifted = truth.clone()
    shifted[:, 0, 3] += 0.25
    errors = trajectory_errors(list(shifted), truth, alignment="none")
    for found in (errors.ate, errors.ate_mean, errors.ate_median, errors.ate_max):
        assert found == pytest.approx(0.25)
    assert errors.rpe_translation < 1e-12


def test_ate_is_the_least_squared_distance_over_all_similarities() -> None:
    truth, predicted = random_poses(0, views=6), random_poses(1, views=6)
    best = trajectory_errors(list(predicted), truth).ate
    fit = align_trajectory(list(predicted), truth, "similarity")
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
    assert (errors.registered, errors.views) == (5, 6)
    fit = align_trajectory(predicted, truth, "similarity")
    assert absolute_errors(predicted, truth, fit).isnan().tolist() == [k == 2 for k in range(6)]
    shift, turn_deg = relative_errors(predicted, truth, scale=1.0)
    assert shift.isnan().tolist() == turn_deg.isnan().tolist() == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("alignment", "too_few"), [("similarity", 2), ("robust", 3), ("rigid", 1), ("scale", 1)]
)
def test_poses_that_are_always_fitted_have_no_ate(
    alignment: TrajectoryAlignment, too_few: int
) -> None:
    truth = random_poses(0, views=6)
    predicted = [*random_poses(1, views=6)[:too_few], *[None] * (6 - too_few)]
    errors = trajectory_errors(predicted, truth, alignment=alignment)
    assert math.isnan(errors.ate)
    assert math.isnan(errors.ate_median)
    assert math.isnan(errors.ate_max)


@pytest.mark.parametrize("alignment", ["similarity", "robust", "rigid", "scale", "none"])
def test_no_poses_at_all_have_no_errors(alignment: TrajectoryAlignment) -> None:
    errors = trajectory_errors([None] * 4, random_poses(0), alignment=alignment)
    assert math.isnan(errors.ate)
    assert math.isnan(errors.rpe_translation)
    assert math.isnan(errors.rpe_rotation_deg)
    assert errors.registered == 0


@pytest.mark.parametrize("alignment", ["similarity", "scale"])
def test_cameras_all_in_one_place_are_as_wrong_as_the_truth_is_wide(
    alignment: TrajectoryAlignment,
) -> None:
    truth = random_poses(0, views=6)
    stuck = truth.clone()
    stuck[:, :3, 3] = torch.tensor([1.0, 2.0, 3.0])
    mean = truth[:, :3, 3].mean(dim=0) if alignment == "similarity" else truth[0, :3, 3]
    expected = (truth[:, :3, 3] - mean).square().sum(dim=-1).mean().sqrt().item()
    assert trajectory_errors(list(stuck), truth, alignment=alignment).ate == pytest.approx(expected)


def test_robust_alignment_leaves_an_outlier_all_of_its_error() -> None:
    truth = random_poses(0, views=10)
    predicted = in_world(random_map(1), truth)
    unit = random_map(1).scale.item()
    predicted[3, 0, 3] += 5 * unit
    errors = trajectory_errors(list(predicted), truth, alignment="robust")
    assert errors.ate_max == pytest.approx(5)
    assert errors.ate_median < 1e-12
    assert trajectory_errors(list(predicted), truth).ate_max < 4.9


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
    shift, _ = relative_errors(list(predicted), truth, scale=1.0, step=2)
    torch.testing.assert_close(shift, torch.tensor([0.3, 0, 0.3]).double())


def test_the_scale_of_steps_is_that_of_the_alignment() -> None:
    truth = line_of_poses(0)
    errors = trajectory_errors(list(in_world(scale_by(4.0), truth)), truth, alignment="scale")
    assert errors.rpe_translation < 1e-12
    errors = trajectory_errors(list(in_world(scale_by(4.0), truth)), truth, alignment="rigid")
    step = torch.linalg.vector_norm(truth[1, :3, 3] - truth[0, :3, 3]).item()
    assert errors.rpe_translation == pytest.approx(3 * step)


def test_measuring_leaves_the_poses_as_they_were() -> None:
    truth = random_poses(0)
    predicted = truth.clone()
    relative_errors(list(predicted), truth, scale=2.0)
    assert (predicted == truth).all()


def test_a_step_backwards_is_refused() -> None:
    truth = random_poses(0)
    with pytest.raises(ValueError, match="at least 1 view ahead, got 0"):
        relative_errors(list(truth), truth, scale=1.0, step=0)


def test_a_step_beyond_the_end_has_no_error() -> None:
    truth = random_poses(0)
    assert math.isnan(trajectory_errors(list(truth), truth, step=4).rpe_translation)
