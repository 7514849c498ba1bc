import pytest
import torch

from fast3r.evaluation.alignment import (
    above_percentile,
    align_points,
    align_poses,
    refine_by_icp,
)
from fast3r.geometry.transforms import Similarity, rotation_angle_deg, rotation_exp
from tests.evaluation.trajectory import in_world, line_of_poses, random_map, random_poses


def assert_same(found: Similarity | None, expected: Similarity) -> None:
    assert found is not None
    torch.testing.assert_close(found.matrix, expected.matrix, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("views", [2, 3, 8])
def test_poses_are_brought_back_from_another_world(seed: int, views: int) -> None:
    truth, there = random_poses(seed, views), random_map(seed + 5)
    assert_same(align_poses(list(in_world(there, truth)), truth), there.inverse())


@pytest.mark.parametrize("seed", range(3))
def test_cameras_on_a_line_take_the_turn_about_it_from_their_orientations(seed: int) -> None:
    truth, there = line_of_poses(seed), random_map(seed + 5)
    assert_same(align_poses(list(in_world(there, truth)), truth), there.inverse())


def test_orientations_do_not_change_how_near_centres_on_a_line_come() -> None:
    truth, there = line_of_poses(0), random_map(5)
    predicted = in_world(there, truth)
    predicted[:, :3, :3] = random_poses(9, views=5)[:, :3, :3]
    fit = align_poses(list(predicted), truth)
    assert fit is not None
    torch.testing.assert_close(fit(predicted[:, :3, 3]), truth[:, :3, 3])
    assert rotation_angle_deg(fit.rotation, there.inverse().rotation) > 1


def test_the_scale_is_not_determined_by_cameras_in_one_place() -> None:
    truth = random_poses(0)
    stuck = truth.clone()
    # But for rounding, which must not be taken for motion.
    stuck[:, :3, 3] = 0.1 + 1e-15 * torch.arange(4).double()[:, None]
    assert align_poses(list(stuck), truth) is None
    assert align_poses(list(truth), stuck) is None
    assert align_poses([truth[0], None, None, None], truth) is None
    assert align_poses([None] * 4, truth) is None


def test_points_are_brought_back_by_those_that_are_finite() -> None:
    truth = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    there = random_map(1)
    predicted = there(truth)
    predicted[20] = torch.nan
    assert_same(align_points(predicted, truth), there.inverse())


def test_points_on_a_line_determine_no_similarity() -> None:
    line = torch.arange(10).double()[:, None] * torch.tensor([1.0, 2.0, 3.0])
    points = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)).double()
    assert align_points(line, points) is None
    assert align_points(points, line) is None
    assert align_points(points[:2], points[:2]) is None
    assert align_points(torch.ones(5, 3), torch.ones(5, 3)) is None


def test_a_percentile_keeps_its_share_of_the_surest() -> None:
    confidence = torch.arange(100).reshape(10, 10).float()
    assert above_percentile(confidence, 85).sum() == 15
    assert above_percentile(confidence, 0).all()
    assert above_percentile(torch.full((3, 3), 0.1), 85).all()


def bumps(count: int, seed: int) -> torch.Tensor:
    flat = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)).double()
    height = 0.2 * torch.sin(6 * flat[:, :1]) * torch.cos(5 * flat[:, 1:])
    return torch.cat((flat, height), dim=-1)


def test_icp_brings_a_surface_back_onto_itself() -> None:
    surface = bumps(3000, seed=0)
    turn = rotation_exp(torch.tensor([0.002, -0.002, 0.003]).double())
    moved = surface @ turn.mT + 0.003
    fit = refine_by_icp(moved, surface, max_distance=0.1, iterations=100)
    assert fit is not None
    assert fit.scale == 1
    torch.testing.assert_close(fit(moved), surface, rtol=0, atol=1e-9)


def test_icp_is_not_disturbed_by_what_lies_farther_than_its_distance() -> None:
    surface = bumps(3000, seed=0)
    fit = refine_by_icp(
        torch.cat((surface + 0.002, surface[:500] + 3)), surface, max_distance=0.1, iterations=100
    )
    assert fit is not None
    torch.testing.assert_close(fit(surface + 0.002), surface, rtol=0, atol=1e-9)


def test_icp_of_surfaces_far_apart_is_no_motion() -> None:
    surface = bumps(100, seed=0)
    assert refine_by_icp(surface + 10, surface, max_distance=0.1) is None
