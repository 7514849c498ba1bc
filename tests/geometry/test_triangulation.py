import pytest
import torch

from fast3r.geometry.cameras import invert_rigid, pinhole, project
from fast3r.geometry.triangulation import Triangulation, triangulate

VIEWS = 5


def cameras() -> tuple[torch.Tensor, torch.Tensor]:
    """Cameras side by side, half a unit apart, that look along z."""
    poses = torch.eye(4).repeat(VIEWS, 1, 1)
    poses[:, 0, 3] = torch.arange(VIEWS) / 2
    return pinhole(torch.full((VIEWS,), 300.0), 200, 300), poses


def tracks(noise_px: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """World points, and where and by which views they are seen."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(40, 3, generator=generator) + torch.tensor([0.5, -0.5, 3])
    intrinsics, poses = cameras()
    pixels, _ = project(points.expand(VIEWS, -1, -1), intrinsics, invert_rigid(poses))
    pixels = pixels + noise_px * torch.randn(pixels.shape, generator=generator)
    return points, pixels.transpose(0, 1), torch.arange(VIEWS).expand(40, -1)


def solve(pixels: torch.Tensor, views: torch.Tensor, **options: torch.Tensor) -> Triangulation:
    return triangulate(pixels, views, *cameras(), **options)


def test_exact_sightings_give_the_exact_points() -> None:
    points, pixels, views = tracks()
    torch.testing.assert_close(solve(pixels, views).points, points, rtol=0, atol=1e-4)


def test_two_views_suffice() -> None:
    points, pixels, views = tracks()
    found = solve(pixels[:, 1:3], views[:, 1:3]).points
    torch.testing.assert_close(found, points, rtol=0, atol=1e-4)


def test_masked_sightings_do_not_count() -> None:
    points, pixels, views = tracks()
    mask = torch.arange(VIEWS).expand(40, -1) < 3
    spoiled = pixels.where(mask[..., None], 0)
    torch.testing.assert_close(solve(spoiled, views, mask=mask).points, points, rtol=0, atol=1e-4)


def test_the_reprojection_error_is_that_of_the_noise() -> None:
    _, pixels, views = tracks(noise_px=1.0)
    # Ten noisy numbers less three fitted ones, over five sightings.
    expected = (7 / 5) ** 0.5
    assert solve(pixels, views).reprojection_px.mean().item() == pytest.approx(expected, rel=0.1)


def test_the_angle_is_the_largest_between_two_rays() -> None:
    intrinsics, poses = cameras()
    poses[1, :3, 3] = torch.tensor([3.0, 0, 0])
    point = torch.tensor([[[0.0, 0, 3]]])
    pixels, _ = project(point.expand(2, -1, -1), intrinsics[:2], invert_rigid(poses[:2]))
    found = triangulate(pixels.transpose(0, 1), torch.tensor([[0, 1]]), intrinsics, poses)
    assert found.angle_deg.item() == pytest.approx(45, abs=1e-4)


def test_a_single_ray_gives_no_point() -> None:
    _, pixels, views = tracks()
    mask = torch.arange(VIEWS).expand(40, -1) < 1
    assert solve(pixels, views, mask=mask).points.isnan().all()


def test_parallel_rays_give_no_point() -> None:
    pixels = torch.full((1, 2, 2), 100.0)
    assert solve(pixels, torch.tensor([[0, 1]])).points.isnan().all()


def test_rays_that_meet_behind_the_cameras_have_an_infinite_error() -> None:
    pixels = torch.tensor([[[100.0, 100], [200, 100]]])
    assert solve(pixels, torch.tensor([[0, 1]])).reprojection_px.tolist() == [torch.inf]
