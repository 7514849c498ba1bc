import pytest
import torch

from fast3r.geometry.alignment import Alignment, align_local_to_world
from fast3r.geometry.transforms import Similarity, rotation_angle_deg
from tests.geometry.synthetic import random_similarity

Pairs = tuple[torch.Tensor, torch.Tensor, Similarity]


def random_pairs(
    views: int = 10, count: int = 2000, *, outliers: float = 0.0, noise: float = 0.01, seed: int = 0
) -> Pairs:
    """Local points, their places in the world, and the true maps; noise relative to depth."""
    generator = torch.Generator().manual_seed(seed)
    truth = random_similarity(generator, views)
    depth = 2 + 4 * torch.rand(views, count, 1, generator=generator)
    slopes = torch.rand(views, count, 2, generator=generator) - 0.5
    local = depth * torch.cat((slopes, torch.ones_like(depth)), dim=-1)
    world = truth(local + noise * depth * torch.randn(local.shape, generator=generator))
    elsewhere = world[:, torch.randperm(count, generator=generator)]
    is_outlier = torch.rand(views, count, 1, generator=generator) < outliers
    return local, torch.where(is_outlier, elsewhere, world), truth


def assert_close(found: Alignment, truth: Similarity, tolerance_deg: float = 0.5) -> None:
    fit = found.world_from_local
    assert rotation_angle_deg(fit.rotation, truth.rotation).max() < tolerance_deg
    torch.testing.assert_close(fit.scale, truth.scale, rtol=0.01, atol=0)


def test_exact_pairs_give_the_exact_map() -> None:
    local, world, truth = random_pairs(noise=0)
    found = align_local_to_world(local, world).world_from_local
    torch.testing.assert_close(found.matrix, truth.matrix, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("outliers", [0.0, 0.3, 0.6, 0.7])
def test_every_view_survives_noise_and_outliers(outliers: float) -> None:
    local, world, truth = random_pairs(views=30, outliers=outliers)
    assert_close(align_local_to_world(local, world), truth)


def test_the_inlier_ratio_is_the_share_of_inliers() -> None:
    local, world, _ = random_pairs(outliers=0.4)
    found = align_local_to_world(local, world).inlier_ratio
    torch.testing.assert_close(found, torch.full((10,), 0.6), rtol=0, atol=0.05)


@pytest.mark.parametrize("count", [6, 50, 2000])
def test_unrelated_points_are_not_aligned(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    local, world = (torch.randn(10, count, 3, generator=generator) for _ in range(2))
    assert not align_local_to_world(local, world).aligned.any()


def test_a_view_that_is_not_aligned_has_a_nan_map() -> None:
    local, world, _ = random_pairs(outliers=1.0)
    assert align_local_to_world(local, world).world_from_local.matrix[:, :3].isnan().all()


def test_points_on_a_line_determine_no_map() -> None:
    line = torch.linspace(1, 2, 500)[None, :, None] * torch.tensor([1.0, 2, 3])
    assert align_local_to_world(line, 2 * line).aligned.tolist() == [False]


def test_a_plane_determines_the_map() -> None:
    local, _, truth = random_pairs(noise=0)
    local[..., 2] = 3
    assert_close(align_local_to_world(local, truth(local)), truth, tolerance_deg=0.01)


def test_moving_the_world_moves_the_map_along() -> None:
    local, world, _ = random_pairs(outliers=0.3)
    move = random_similarity(torch.Generator().manual_seed(5), 10)
    plain = align_local_to_world(local, world).world_from_local
    moved = align_local_to_world(local, move(world)).world_from_local
    torch.testing.assert_close(moved.matrix, (move @ plain).matrix, rtol=1e-2, atol=1e-2)


def test_masked_pairs_do_not_count() -> None:
    local, world, truth = random_pairs(noise=0)
    mask = torch.rand(10, 2000, generator=torch.Generator().manual_seed(1)) < 0.1
    world = world.where(mask[..., None], torch.nan)
    assert_close(align_local_to_world(local, world, mask=mask), truth, tolerance_deg=0.01)


def test_confidence_overrules_a_majority_of_outliers() -> None:
    local, world, truth = random_pairs()
    wrong = torch.arange(2000) % 10 != 0
    world[:, wrong] = world[:, wrong].roll(7, dims=1)
    confidence = torch.where(wrong, 1.0, 50.0).expand(10, -1)
    assert_close(align_local_to_world(local, world, confidence=confidence), truth)


def test_the_same_seed_gives_the_same_bits() -> None:
    local, world, _ = random_pairs(count=20000, outliers=0.5)
    first, second = (align_local_to_world(local, world, seed=4) for _ in range(2))
    assert torch.equal(first.world_from_local.matrix, second.world_from_local.matrix)


def test_views_without_enough_points_are_told() -> None:
    local, world, _ = random_pairs(views=3)
    mask = torch.arange(2000) < torch.tensor([[2000], [5], [0]])
    assert align_local_to_world(local, world, mask=mask).aligned.tolist() == [True, False, False]


def test_six_exact_pairs_suffice() -> None:
    local, world, truth = random_pairs(count=6, noise=0)
    assert_close(align_local_to_world(local, world), truth)


def test_two_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 points per view, got 2"):
        align_local_to_world(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))
