import pytest
import torch

from fast3r.geometry.p3p import solve_p3p
from tests.geometry.synthetic import random_rotation


def random_triples(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """World points, their rays, and the pose [R | t] that connects them."""
    generator = torch.Generator().manual_seed(0)
    slopes = torch.rand(count, 3, 2, generator=generator, dtype=torch.float64) - 0.5
    rays = torch.cat((slopes, torch.ones_like(slopes[..., :1])), dim=-1)
    depth = 2 + 4 * torch.rand(count, 3, 1, generator=generator, dtype=torch.float64)
    rotation = random_rotation(generator, count, dtype=torch.float64)
    shift = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    points = (rays * depth - shift[:, None]) @ rotation
    return points, rays, torch.cat((rotation, shift[..., None]), dim=-1)


def test_one_of_the_candidates_is_the_true_pose() -> None:
    points, rays, truth = random_triples(5000)
    error = (solve_p3p(points, rays) - truth[:, None]).abs().amax(dim=(-2, -1))
    assert error.nan_to_num(torch.inf).amin(dim=-1).max() < 1e-4


def test_every_candidate_puts_the_points_on_their_rays() -> None:
    points, rays, _ = random_triples(5000)
    poses = solve_p3p(points, rays)
    seen = points[:, None] @ poses[..., :3].mT + poses[..., None, :, 3]
    miss = (seen[..., :2] / seen[..., 2:] - rays[:, None, :, :2]).abs().amax(dim=(-2, -1))
    assert miss[miss.isfinite()].max() < 1e-6


def test_the_length_of_a_ray_does_not_matter() -> None:
    points, rays, truth = random_triples(100)
    error = (solve_p3p(points, 7 * rays) - truth[:, None]).abs().amax(dim=(-2, -1))
    assert error.nan_to_num(torch.inf).amin(dim=-1).max() < 1e-6


@pytest.mark.parametrize("repeated", [True, False])
def test_three_points_on_a_line_have_no_finite_pose(repeated: bool) -> None:
    points, rays, _ = random_triples(10)
    points[:, 2] = points[:, 0] if repeated else 2 * points[:, 1] - points[:, 0]
    if repeated:
        rays[:, 2] = rays[:, 0]
    poses = solve_p3p(points, rays)
    seen = points[:, None] @ poses[..., :3].mT + poses[..., None, :, 3]
    on_rays = (seen[..., :2] / seen[..., 2:] - rays[:, None, :, :2]).abs().amax(dim=(-2, -1)) < 1e-6
    assert not on_rays.any()
