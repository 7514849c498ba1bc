import math

import pytest
import torch

from fast3r.geometry.pose_refinement import Sightings
from fast3r.geometry.poses import PoseEstimate, _chance_of_an_inlier, solve_poses
from fast3r.geometry.transforms import rotation_angle_deg
from tests.geometry.synthetic import PosedPoints, posed_points


def solve(scene: PosedPoints, **options: object) -> PoseEstimate:
    return solve_poses(scene.points, scene.pixels, scene.intrinsics, **options)  # type: ignore[arg-type]


def rotation_error_deg(found: PoseEstimate, scene: PosedPoints) -> torch.Tensor:
    return rotation_angle_deg(
        found.world_from_camera[:, :3, :3], scene.world_from_camera[:, :3, :3]
    )


def test_exact_points_give_the_exact_pose() -> None:
    scene = posed_points(noise=0)
    found = solve(scene).world_from_camera
    torch.testing.assert_close(found, scene.world_from_camera, rtol=0, atol=1e-4)


@pytest.mark.parametrize("count", [6, 7, 20])
def test_few_exact_points_suffice(count: int) -> None:
    scene = posed_points(count=count, noise=0)
    found = solve(scene).world_from_camera
    torch.testing.assert_close(found, scene.world_from_camera, rtol=0, atol=1e-3)


@pytest.mark.parametrize("outliers", [0.0, 0.3, 0.6, 0.75])
def test_every_view_survives_noise_and_outliers(outliers: float) -> None:
    scene = posed_points(views=40, outliers=outliers)
    assert rotation_error_deg(solve(scene), scene).max() < 0.5


def test_the_inlier_ratio_is_the_share_of_inliers() -> None:
    found = solve(posed_points(outliers=0.6, noise=0.001))
    torch.testing.assert_close(found.inlier_ratio, torch.full((8,), 0.4), rtol=0, atol=0.03)


def test_the_reprojection_error_is_that_of_the_noise() -> None:
    found = solve(posed_points(outliers=0.3, noise=0.004))
    # The noise is 1.8 px along each axis; its length has the median 1.1774 times that.
    expected = torch.full((8,), 1.1774 * 1.8)
    torch.testing.assert_close(found.reprojection_px, expected, rtol=0.06, atol=0)


@pytest.mark.parametrize("count", [6, 10, 30, 100, 3000])
def test_pure_outliers_are_not_registered(count: int) -> None:
    assert not solve(posed_points(views=20, count=count, outliers=1)).registered.any()


def test_a_view_that_is_not_registered_has_a_nan_pose() -> None:
    assert solve(posed_points(outliers=1)).world_from_camera.isnan().all()


def test_five_points_are_not_enough() -> None:
    assert not solve(posed_points(count=5, noise=0)).registered.any()


def registered_by_a_rod(*, thickness: float, noise: float) -> list[bool]:
    """Tell which of eight views of points spread about a line are registered."""
    generator = torch.Generator().manual_seed(0)
    steps = torch.linspace(-1, 1, 3000)[None, :, None]
    local = torch.tensor([0.3, 0.1, 4]) + steps * torch.tensor([1.0, 0.7, 0.5])
    local = local + thickness * torch.randn(8, 3000, 3, generator=generator)
    pixels = local[..., :2] / local[..., 2:] * 450 + torch.tensor([256.0, 192])
    noisy = local + noise * torch.randn(local.shape, generator=generator)
    return solve_poses(noisy, pixels, posed_points().intrinsics).registered.tolist()


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_points_on_a_line_determine_no_pose(noise: float) -> None:
    assert registered_by_a_rod(thickness=0.0, noise=noise) == [False] * 8


def test_a_rod_that_is_thicker_than_the_noise_determines_the_pose() -> None:
    assert registered_by_a_rod(thickness=0.05, noise=0.01) == [True] * 8


def test_one_place_seen_everywhere_determines_no_pose() -> None:
    scene = posed_points()
    points = torch.ones_like(scene.points)
    assert not solve_poses(points, scene.pixels, scene.intrinsics).registered.any()


def test_a_plane_determines_the_pose() -> None:
    scene = posed_points(noise=0)
    rays = (scene.pixels - torch.tensor([256.0, 192])) / 450
    local = torch.cat((4 * rays, torch.full_like(rays[..., :1], 4)), dim=-1)
    pose = scene.world_from_camera
    points = local @ pose[:, :3, :3].mT + pose[:, None, :3, 3]
    found = solve_poses(points, scene.pixels, scene.intrinsics).world_from_camera
    torch.testing.assert_close(found, pose, rtol=0, atol=1e-3)


def test_the_same_seed_gives_the_same_bits() -> None:
    scene = posed_points(outliers=0.6)
    first, second = solve(scene, seed=7), solve(scene, seed=7)
    assert torch.equal(first.world_from_camera, second.world_from_camera)


def test_the_seed_hardly_matters() -> None:
    scene = posed_points(outliers=0.6)
    first, second = (solve(scene, seed=seed).world_from_camera for seed in (1, 2))
    assert rotation_angle_deg(first[:, :3, :3], second[:, :3, :3]).max() < 0.02


def test_a_view_does_not_depend_on_its_neighbours() -> None:
    scene = posed_points(outliers=0.6)
    alone = solve_poses(scene.points[3:4], scene.pixels[3:4], scene.intrinsics[3:4])
    torch.testing.assert_close(
        alone.world_from_camera[0], solve(scene).world_from_camera[3], rtol=0, atol=1e-5
    )


def test_masked_points_do_not_count() -> None:
    scene = posed_points(count=400)
    padded = torch.cat((scene.points, torch.full((8, 100, 3), torch.nan)), dim=1)
    pixels = torch.cat((scene.pixels, torch.zeros(8, 100, 2)), dim=1)
    mask = torch.arange(500).expand(8, -1) < 400
    found = solve_poses(padded, pixels, scene.intrinsics, mask=mask)
    error = rotation_angle_deg(
        found.world_from_camera[:, :3, :3], solve(scene).world_from_camera[:, :3, :3]
    )
    assert error.max() < 0.02


def test_views_of_unequal_numbers_of_points_are_told_apart_by_the_mask() -> None:
    scene = posed_points(noise=0)
    counts = torch.tensor([3000, 1000, 100, 20, 6, 5, 1, 0])
    mask = torch.arange(3000) < counts[:, None]
    points = scene.points.where(mask[..., None], 99.0)
    found = solve_poses(points, scene.pixels, scene.intrinsics, mask=mask)
    assert found.registered.tolist() == [True] * 5 + [False] * 3


def test_points_that_are_not_finite_do_not_count() -> None:
    scene = posed_points(noise=0)
    scene.points[:, ::3] = torch.nan
    scene.points[:, 1::3, 2] = torch.inf
    found = solve(scene).world_from_camera
    torch.testing.assert_close(found, scene.world_from_camera, rtol=0, atol=1e-3)


def test_confidence_overrules_a_majority_of_outliers() -> None:
    scene = posed_points(outliers=0.0)
    wrong = torch.arange(3000) % 10 != 0
    scene.points[:, wrong] = scene.points[:, wrong].roll(1, dims=1)
    confidence = torch.where(wrong, 1.0, 50.0).expand(8, -1)
    found = solve(scene, confidence=confidence)
    assert rotation_error_deg(found, scene).max() < 0.5
    torch.testing.assert_close(found.inlier_ratio, torch.full((8,), 50 / 59), rtol=0, atol=0.06)


def test_one_set_of_pixels_serves_all_views() -> None:
    scene = posed_points(noise=0)
    local = (scene.points[:1] - scene.world_from_camera[:1, None, :3, 3]) @ (
        scene.world_from_camera[:1, :3, :3]
    )
    pose = scene.world_from_camera
    points = local @ pose[:, :3, :3].mT + pose[:, None, :3, 3]
    found = solve_poses(points, scene.pixels[:1], scene.intrinsics).world_from_camera
    torch.testing.assert_close(found, pose, rtol=0, atol=1e-3)


def test_a_view_without_focal_length_is_not_registered() -> None:
    scene = posed_points()
    scene.intrinsics[2] = torch.nan
    assert solve(scene).registered.tolist() == [view != 2 for view in range(8)]


def test_a_non_positive_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match="max_reprojection_px must be positive"):
        solve(posed_points(), max_reprojection_px=0.0)


def test_a_threshold_below_one_pixel_is_taken() -> None:
    assert solve(posed_points(noise=0.0), max_reprojection_px=0.5).registered.all()


def test_a_random_pixel_is_an_inlier_by_the_share_of_the_area() -> None:
    # Few of them, as their range falls short of the image.
    pixels = torch.rand(4000, 2, 5, generator=torch.Generator().manual_seed(0)) * 100
    weights, focal = torch.ones(4000, 5), torch.full((4000, 2), 90.0)
    seen = Sightings(torch.zeros(4000, 3, 5), pixels, weights, focal)
    chance = _chance_of_an_inlier(seen, torch.full((4000,), 5), threshold_px=5)
    assert chance.median().item() == pytest.approx(math.pi * 5**2 / 100**2, rel=0.15)


def test_no_points_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="one view and one point, got points of shape"):
        solve(posed_points(count=0))
