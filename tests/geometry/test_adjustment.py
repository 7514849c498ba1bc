"""Views and points are found again from where points were seen, though many are wrong."""

import pytest
import torch
from torch import Tensor

from fast3r.geometry.adjustment import Observations, adjust_views
from fast3r.geometry.transforms import Similarity, rotation_angle_deg, rotation_exp

VIEWS, POINTS = 6, 60
INTRINSICS = torch.tensor([[100.0, 0, 64], [0, 110, 48], [0, 0, 1]]).double()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def the_views() -> Similarity:
    return Similarity(
        (0.3 * random(VIEWS)).exp(),
        rotation_exp(0.3 * random(VIEWS, 3, seed=1)),
        0.5 * random(VIEWS, 3, seed=2),
    )


def their_points() -> Tensor:
    """What each view sees, in its own frame and unit."""
    generator = torch.Generator().manual_seed(3)
    pixels = torch.rand(VIEWS, POINTS, 2, generator=generator).double()
    pixels = torch.cat((pixels * torch.tensor([128.0, 96.0]), torch.ones(VIEWS, POINTS, 1)), dim=-1)
    depth = 2 + 2 * torch.rand(VIEWS, POINTS, 1, generator=generator).double()
    return depth * (pixels @ INTRINSICS.inverse().mT) / the_views().scale[:, None, None]


def sightings(views: Similarity, points: Tensor) -> Observations:
    """Every point as every other view sees it; those behind it have no weight."""
    anchor, view = torch.tensor([(a, b) for a in range(VIEWS) for b in range(VIEWS) if a != b]).T
    world = views(points)[anchor] - views.translation[view, None]
    seen = world @ views.rotation[view] @ INTRINSICS.mT
    return Observations(
        anchor,
        view,
        torch.arange(POINTS).expand(len(anchor), -1),
        seen[..., :2] / seen[..., 2:],
        (seen[..., 2] > 0.1).double(),
    )


def disturbed(views: Similarity) -> Similarity:
    """The same views, all but the first somewhat elsewhere."""
    size = torch.full((VIEWS, 1), 0.04, dtype=torch.float64)
    size[0] = 0
    return Similarity(
        views.scale * (size * random(VIEWS, 1, seed=4)).exp()[:, 0],
        views.rotation @ rotation_exp(size * random(VIEWS, 3, seed=5)),
        views.translation + size * random(VIEWS, 3, seed=6),
    )


@pytest.mark.parametrize("wrong", [0.0, 0.3])
def test_poses_units_and_depths_are_found_again(wrong: float) -> None:
    truth, points = the_views(), their_points()
    seen = sightings(truth, points)
    bad = torch.rand(seen.point.shape, generator=torch.Generator().manual_seed(7)) < wrong
    seen.pixel[bad] += 40 * random(int(bad.sum()), 2, seed=8)
    believed = 0.05 * random(VIEWS, POINTS, seed=9)
    found = adjust_views(
        disturbed(truth),
        points * believed.exp()[..., None],
        INTRINSICS.expand(VIEWS, 3, 3),
        seen,
        sigma_px=1.0,
        sigma_log_depth=0.1,
    )
    views = found.world_from_view
    assert rotation_angle_deg(views.rotation, truth.rotation).max() < 0.05
    assert (views.translation - truth.translation).norm(dim=-1).max() < 0.02
    deeper = found.log_depth + believed + (views.scale / truth.scale).log()[:, None]
    assert deeper.abs().median() < 0.01
    bad = bad | (seen.weight == 0)
    assert found.weight[~bad].median() > 0.99
    assert not bad.any() or found.weight[bad].median() < 0.01


@pytest.mark.parametrize("through_one_lens", [True, False])
def test_focal_lengths_are_found_where_they_are_not_known(through_one_lens: bool) -> None:
    truth, points = the_views(), their_points()
    wrong = (0.15 * random(VIEWS, seed=10)).exp()
    if through_one_lens:
        wrong = wrong[:1].expand(VIEWS)
    wrong = torch.cat((wrong[:-1], torch.ones(1).double()))  # the last one is known
    scaled = torch.stack((wrong, wrong, torch.ones_like(wrong)), dim=-1)
    own = 0.01 if through_one_lens else 0.3
    covariance = own**2 * torch.eye(VIEWS).double()
    covariance[:-1, :-1] += 0.3**2
    found = adjust_views(
        disturbed(truth),
        points / scaled[:, None],
        INTRINSICS @ torch.diag_embed(scaled),
        sightings(truth, points),
        sigma_px=1.0,
        sigma_log_depth=0.1,
        focal_precision=covariance.inverse() + torch.diag(torch.tensor([0.0] * 5 + [torch.inf])),
    )
    assert (found.log_focal + wrong.log()).abs().max() < 0.01
    assert found.log_focal[-1] == 0
    assert rotation_angle_deg(found.world_from_view.rotation, truth.rotation).max() < 0.1


def test_a_better_fit_costs_less() -> None:
    truth, points = the_views(), their_points()
    seen = sightings(truth, points)
    costs = []
    for focal in (1.0, 1.2):
        scaled = torch.diag(torch.tensor([focal, focal, 1.0]).double())
        intrinsics = (INTRINSICS @ scaled).expand(VIEWS, 3, 3)
        costs.append(
            adjust_views(
                truth,
                points / scaled.diagonal(),
                intrinsics,
                seen,
                sigma_px=1.0,
                sigma_log_depth=0.1,
            ).cost
        )
    assert costs[0] < 1e-6
    assert costs[1] > 100


def test_without_parallax_depths_stay_as_they_are_believed() -> None:
    turned = Similarity(
        torch.ones(VIEWS).double(),
        rotation_exp(0.1 * random(VIEWS, 3, seed=1)),
        torch.zeros(VIEWS, 3).double(),
    )
    points = their_points()
    found = adjust_views(
        turned,
        points,
        INTRINSICS.expand(VIEWS, 3, 3),
        sightings(turned, points),
        sigma_px=1.0,
        sigma_log_depth=0.1,
    )
    assert found.world_from_view.translation.abs().max() < 1e-6
    assert found.log_depth.abs().max() < 1e-6


def test_a_view_that_nothing_ties_and_the_fixed_one_stay() -> None:
    truth, points = the_views(), their_points()
    seen = sightings(truth, points)
    tied = (seen.anchor != 4) & (seen.view != 4)
    seen = Observations(*(part[tied] for part in vars(seen).values()))
    start = disturbed(truth)
    found = adjust_views(
        start,
        points,
        INTRINSICS.expand(VIEWS, 3, 3),
        seen,
        sigma_px=1.0,
        sigma_log_depth=0.1,
        fixed=2,
    ).world_from_view
    for index in (2, 4):
        assert torch.equal(found.translation[index], start.translation[index])
        assert found.scale[index] == start.scale[index]
    assert not torch.equal(found.translation[1], start.translation[1])


def test_a_match_behind_a_camera_does_not_keep_the_rest_from_its_place() -> None:
    truth, points = the_views(), their_points()
    seen = sightings(truth, points)
    assert (seen.weight == 0).any()
    matched = Observations(
        seen.anchor, seen.view, seen.point, seen.pixel, torch.ones_like(seen.weight)
    )
    found = adjust_views(
        disturbed(truth),
        points,
        INTRINSICS.expand(VIEWS, 3, 3),
        matched,
        sigma_px=1.0,
        sigma_log_depth=0.1,
    )
    assert rotation_angle_deg(found.world_from_view.rotation, truth.rotation).max() < 0.05
