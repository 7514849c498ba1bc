import math

import pytest
import torch

from fast3r.geometry.transforms import (
    Similarity,
    fit_similarity,
    matrix_from_quaternion,
    nearest_rotation,
    quaternion_from_matrix,
    rotation_angle_deg,
    rotation_exp,
    rotation_log,
    similarity_between_poses,
    triangle_frame,
)
from tests.geometry.synthetic import random_pose, random_rotation, random_similarity

DOUBLE = torch.float64


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def assert_same(found: Similarity, expected: Similarity, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(found.matrix, expected.matrix, rtol=0, atol=tolerance)


def test_a_similarity_scales_then_rotates_then_shifts() -> None:
    quarter_turn = rotation_exp(torch.tensor([0, 0, math.pi / 2], dtype=DOUBLE))
    move = Similarity(torch.tensor(2.0, dtype=DOUBLE), quarter_turn, torch.ones(3, dtype=DOUBLE))
    moved = move(torch.tensor([[1.0, 0, 0]], dtype=DOUBLE))
    torch.testing.assert_close(moved, torch.tensor([[1.0, 3, 1]], dtype=DOUBLE))


def test_a_moved_pose_puts_what_the_camera_sees_where_the_points_moved(
    generator: torch.Generator,
) -> None:
    map_ = random_similarity(generator, dtype=DOUBLE)
    pose = random_pose(generator).double()
    moved, seen = map_.moved_pose(pose), torch.randn(5, 3, generator=generator, dtype=DOUBLE)
    expected = map_(seen @ pose[:3, :3].mT + pose[:3, 3])
    torch.testing.assert_close(map_.scale * seen @ moved[:3, :3].mT + moved[:3, 3], expected)


def test_a_pose_that_went_astray_does_not_bend_the_similarity_between_poses(
    generator: torch.Generator,
) -> None:
    map_, poses = random_similarity(generator, dtype=DOUBLE), random_pose(generator, 5).double()
    target = torch.stack([map_.moved_pose(pose) for pose in poses])
    target[2, :3, :3] = rotation_exp(torch.ones(3, dtype=DOUBLE)) @ target[2, :3, :3]
    target[2, :3, 3] += 100
    assert_same(similarity_between_poses(poses, target, map_.scale), map_, 1e-5)


def test_fit_similarity_recovers_the_map_that_made_the_target(generator: torch.Generator) -> None:
    truth = random_similarity(generator, 5, dtype=DOUBLE)
    source = torch.randn(5, 10, 3, generator=generator, dtype=DOUBLE)
    assert_same(fit_similarity(source, truth(source)), truth)


def test_a_weight_of_two_is_a_point_given_twice(generator: torch.Generator) -> None:
    source, target = (torch.randn(6, 3, generator=generator, dtype=DOUBLE) for _ in range(2))
    twice = [torch.cat((part, part[:2])) for part in (source, target)]
    weights = torch.tensor([2.0, 2, 1, 1, 1, 1], dtype=DOUBLE)
    assert_same(fit_similarity(source, target, weights), fit_similarity(*twice))


def test_without_scale_the_fit_is_rigid(generator: torch.Generator) -> None:
    truth = random_similarity(generator, dtype=DOUBLE)
    source = torch.randn(20, 3, generator=generator, dtype=DOUBLE)
    assert fit_similarity(source, truth(source), with_scale=False).scale == 1


def test_a_mirrored_target_still_gets_a_proper_rotation(generator: torch.Generator) -> None:
    source = torch.randn(20, 3, generator=generator, dtype=DOUBLE)
    fit = fit_similarity(source, source * torch.tensor([1.0, 1, -1]))
    torch.testing.assert_close(torch.linalg.det(fit.rotation).item(), 1.0)


def test_two_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 points, got 2"):
        fit_similarity(torch.zeros(2, 3), torch.zeros(2, 3))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 1.0, 3.0, math.pi - 1e-6])
def test_log_inverts_exp(angle: float) -> None:
    axis = torch.tensor([0.6, -0.64, 0.48], dtype=DOUBLE)
    vector = angle * axis
    torch.testing.assert_close(rotation_log(rotation_exp(vector)), vector, rtol=0, atol=1e-9)


def test_log_of_half_a_turn_is_pi_about_its_axis() -> None:
    log = rotation_log(torch.diag(torch.tensor([-1.0, 1, -1], dtype=DOUBLE)))
    torch.testing.assert_close(log.abs(), torch.tensor([0, math.pi, 0], dtype=DOUBLE))


def test_equal_rotations_are_exactly_zero_degrees_apart(generator: torch.Generator) -> None:
    rotation = random_rotation(generator, 100)
    assert rotation_angle_deg(rotation, rotation).abs().max() == 0


@pytest.mark.parametrize("angle_deg", [1e-4, 0.1, 30, 89.9, 90.1, 150, 179.9, 179.9999])
def test_the_angle_between_rotations_is_the_turn_that_made_it(
    angle_deg: float, generator: torch.Generator
) -> None:
    rotation = random_rotation(generator, 20, dtype=DOUBLE)
    turn = rotation_exp(torch.tensor([0, math.radians(angle_deg), 0], dtype=DOUBLE))
    found = rotation_angle_deg(rotation, rotation @ turn)
    torch.testing.assert_close(
        found, torch.full((20,), angle_deg, dtype=DOUBLE), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("angle_deg", [0.01, 179.99])
def test_single_precision_keeps_angles_at_both_ends(angle_deg: float) -> None:
    turn = rotation_exp(torch.tensor([0, 0, math.radians(angle_deg)]))
    found = rotation_angle_deg(torch.eye(3), turn).item()
    assert found == pytest.approx(angle_deg, abs=1e-4)


def test_quaternions_come_back_from_their_matrices(generator: torch.Generator) -> None:
    quaternion = torch.randn(200, 4, generator=generator, dtype=DOUBLE)
    quaternion = quaternion / quaternion.norm(dim=-1, keepdim=True)
    quaternion = quaternion * torch.where(quaternion[:, :1] < 0, -1, 1)
    found = quaternion_from_matrix(matrix_from_quaternion(quaternion))
    torch.testing.assert_close(found, quaternion)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns_have_quaternions(axis: int) -> None:
    matrix = torch.diag(torch.where(torch.arange(3) == axis, 1.0, -1.0))
    expected = torch.zeros(4)
    expected[axis + 1] = 1
    torch.testing.assert_close(quaternion_from_matrix(matrix).abs(), expected)


def test_the_quaternion_starts_with_the_cosine() -> None:
    turn = rotation_exp(torch.tensor([math.pi / 3, 0, 0]))
    expected = torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6), 0, 0])
    torch.testing.assert_close(quaternion_from_matrix(turn), expected)


def test_the_length_of_a_quaternion_does_not_matter(generator: torch.Generator) -> None:
    quaternion = torch.randn(5, 4, generator=generator)
    torch.testing.assert_close(
        matrix_from_quaternion(3 * quaternion), matrix_from_quaternion(quaternion)
    )


def test_scaling_a_matrix_does_not_change_its_nearest_rotation(generator: torch.Generator) -> None:
    matrix = torch.randn(10, 3, 3, generator=generator, dtype=DOUBLE)
    torch.testing.assert_close(nearest_rotation(5 * matrix), nearest_rotation(matrix))


def test_the_nearest_rotation_of_nan_is_nan() -> None:
    assert nearest_rotation(torch.full((3, 3), torch.nan)).isnan().all()


def test_the_frame_of_a_triangle_turns_with_it(generator: torch.Generator) -> None:
    corners = torch.randn(3, 3, generator=generator, dtype=DOUBLE)
    rotation = random_rotation(generator, dtype=DOUBLE)
    turned = triangle_frame(corners @ rotation.mT)
    torch.testing.assert_close(turned, rotation @ triangle_frame(corners))


def test_what_was_stacked_can_be_taken_out_again(generator: torch.Generator) -> None:
    each = [random_similarity(generator, dtype=DOUBLE) for _ in range(3)]
    assert_same(Similarity.stack(each)[1], each[1], 0)
    assert_same(
        Similarity.stack(each)[torch.tensor([2, 0])], Similarity.stack([each[2], each[0]]), 0
    )
