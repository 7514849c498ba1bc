import pytest
import torch

from fast3r.geometry.cameras import pinhole, pixel_grid, unproject
from fast3r.geometry.focal import estimate_focal

HEIGHT, WIDTH = 48, 64
OFFSETS = pixel_grid(HEIGHT, WIDTH) - torch.tensor([WIDTH / 2, HEIGHT / 2])


def pointmaps(
    focal_px: torch.Tensor, *, outliers: float = 0.0, noise: float = 0.0, seed: int = 0
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    depth = 2 + 4 * torch.rand(len(focal_px), HEIGHT, WIDTH, generator=generator)
    points = unproject(depth, pinhole(focal_px, HEIGHT, WIDTH))
    points = points + noise * depth[..., None] * torch.randn(points.shape, generator=generator)
    order = torch.randperm(HEIGHT * WIDTH, generator=generator)
    elsewhere = points.flatten(1, 2)[:, order].view(points.shape)
    is_outlier = torch.rand(depth.shape, generator=generator) < outliers
    return torch.where(is_outlier[..., None], elsewhere, points)


FOCALS = torch.tensor([30.0, 60, 120, 400])


def test_exact_points_give_the_exact_focal() -> None:
    torch.testing.assert_close(estimate_focal(pointmaps(FOCALS)), FOCALS, rtol=1e-5, atol=0)


@pytest.mark.parametrize("outliers", [0.3, 0.6])
def test_outliers_do_not_matter(outliers: float) -> None:
    found = estimate_focal(pointmaps(FOCALS, outliers=outliers))
    torch.testing.assert_close(found, FOCALS, rtol=1e-4, atol=0)


def test_a_minority_that_agrees_on_another_focal_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(1)
    others = torch.rand(len(FOCALS), HEIGHT, WIDTH, 1, generator=generator) < 0.4
    points = torch.where(others, pointmaps(3 * FOCALS), pointmaps(FOCALS))
    torch.testing.assert_close(estimate_focal(points), FOCALS, rtol=1e-3, atol=0)


def test_the_middle_of_the_image_tells_less_than_the_rest() -> None:
    radius = OFFSETS.norm(dim=-1)
    inner = (radius < radius.flatten().quantile(0.6))[None, ..., None]
    points = torch.where(inner, pointmaps(0.1 * FOCALS), pointmaps(FOCALS))
    torch.testing.assert_close(estimate_focal(points), FOCALS, rtol=1e-3, atol=0)


@pytest.mark.parametrize(("miss", "told"), [(0.13, True), (0.17, False)])
def test_points_tell_the_focal_where_they_land_near_their_pixels(miss: float, told: bool) -> None:
    size = miss * OFFSETS.square().sum(dim=-1).mean().sqrt()
    angle = 7 * torch.rand(HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    slopes = (OFFSETS + size * torch.stack((angle.cos(), angle.sin()), dim=-1)) / 60
    points = torch.cat((slopes, torch.ones(HEIGHT, WIDTH, 1)), dim=-1)
    assert estimate_focal(points[None]).isfinite().item() is told


def test_a_twelfth_of_the_points_does_not_tell_the_focal() -> None:
    assert estimate_focal(pointmaps(FOCALS, outliers=0.92)).isnan().all()


def test_noise_does_not_bias_the_focal() -> None:
    truth = torch.full((60,), 60.0)
    found = estimate_focal(pointmaps(truth, noise=0.02))
    # Fitting pixels to slopes instead, as the reference does, comes out 0.5 % short.
    assert found.mean().item() == pytest.approx(60, rel=5e-4)


def test_an_off_centre_principal_point_is_taken_into_account() -> None:
    intrinsics = pinhole(torch.tensor([60.0]), HEIGHT, WIDTH)
    intrinsics[:, 0, 2] = 20
    points = unproject(torch.full((1, HEIGHT, WIDTH), 3.0), intrinsics)
    found = estimate_focal(points, principal_point=intrinsics[:, :2, 2])
    assert found.item() == pytest.approx(60, rel=1e-5)


def test_points_of_low_confidence_do_not_count() -> None:
    points = pointmaps(FOCALS, noise=0.01)
    confidence = torch.full((4, HEIGHT, WIDTH), 2.0)
    confidence[:, :4] = 1.9
    expected = estimate_focal(points, confidence)
    points[:, :4, :, :2] *= 1.01
    assert torch.equal(estimate_focal(points, confidence), expected)


def test_points_of_no_confidence_do_not_count() -> None:
    points = pointmaps(FOCALS)
    points[:, :40, :, :2] *= 2
    confidence = (torch.arange(HEIGHT) >= 40).float()[None, :, None].expand(4, -1, WIDTH)
    torch.testing.assert_close(estimate_focal(points, confidence), FOCALS, rtol=1e-4, atol=0)


@pytest.mark.parametrize("spoil", ["nan", "behind", "random", "one place"])
def test_a_view_that_does_not_tell_its_focal_gets_nan(spoil: str) -> None:
    points = pointmaps(FOCALS)
    generator = torch.Generator().manual_seed(0)
    points[1] = {
        "nan": torch.full_like(points[1], torch.nan),
        "behind": -points[1],
        "random": torch.randn(points[1].shape, generator=generator) + torch.tensor([0, 0, 3.0]),
        "one place": torch.ones_like(points[1]),
    }[spoil]
    assert estimate_focal(points).isnan().tolist() == [False, True, False, False]


def test_nine_points_do_not_tell_the_focal() -> None:
    confidence = (torch.arange(HEIGHT * WIDTH) < 9).float().view(1, HEIGHT, WIDTH)
    assert estimate_focal(pointmaps(FOCALS[:1]), confidence).isnan().all()
