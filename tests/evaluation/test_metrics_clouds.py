import math
import sys

import pytest
import torch

from fast3r.evaluation.metrics.clouds import (
    cloud_distances,
    cloud_errors,
    estimate_normals,
    f_score,
    normal_consistency,
)
from fast3r.evaluation.metrics.neighbours import Neighbours


def plane(rows: int = 12) -> torch.Tensor:
    """A grid of step 1 in the plane z = 0."""
    x, y = torch.meshgrid(torch.arange(rows), torch.arange(rows), indexing="ij")
    return torch.stack((x, y, torch.zeros_like(x)), dim=-1).flatten(0, 1).double()


def sphere(count: int = 4000) -> torch.Tensor:
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(0)).double()
    return points / points.norm(dim=-1, keepdim=True)


def test_neighbours_are_those_of_a_search_through_all() -> None:
    generator = torch.Generator().manual_seed(0)
    points, others = (torch.randn(k, 3, generator=generator).double() for k in (200, 70))
    apart = torch.cdist(others, points)
    distance, index = Neighbours(points).nearest_few(others, 5)
    expected = apart.topk(5, largest=False)
    torch.testing.assert_close(distance, expected.values)
    assert (index == expected.indices).all()
    nearest, which = Neighbours(points, threads=2).nearest(others)
    assert (nearest == distance[:, 0]).all()
    assert (which == index[:, 0]).all()


def test_more_neighbours_than_points_are_refused() -> None:
    with pytest.raises(ValueError, match="asked for 4 nearest points among 3"):
        Neighbours(torch.rand(3, 3)).nearest_few(torch.rand(2, 3), 4)


def test_points_that_are_not_finite_are_refused() -> None:
    points = torch.zeros(3, 3)
    points[1, 2] = torch.nan
    with pytest.raises(ValueError, match="1 of 3 points are not finite; leave them out"):
        Neighbours(points)
    with pytest.raises(ValueError, match="1 of 3 points are not finite"):
        Neighbours(torch.zeros(3, 3)).nearest(points)


def test_without_scipy_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.spatial", None)
    with pytest.raises(ImportError, match=r"pip install 'fast3r\[eval\]'"):
        Neighbours(torch.zeros(3, 3))


def test_equal_clouds_have_no_error() -> None:
    errors = cloud_errors(sphere(), sphere(), thresholds=[1e-6])
    assert errors.accuracy == errors.completeness == errors.chamfer == 0
    assert errors.accuracy_median == errors.completeness_median == 0
    assert errors.normals == pytest.approx(1)
    assert errors.f_scores[0].f_score == 1


def test_a_lifted_plane_is_as_far_as_it_is_lifted() -> None:
    errors = cloud_errors(plane() + torch.tensor([0, 0, 0.25]), plane(), thresholds=[0.2, 0.3])
    for figure in (
        errors.accuracy,
        errors.accuracy_median,
        errors.completeness,
        errors.completeness_median,
        errors.chamfer,
    ):
        assert figure == pytest.approx(0.25)
    assert errors.normals == pytest.approx(1)
    assert [score.f_score for score in errors.f_scores] == [0, 1]


def test_half_a_plane_is_accurate_and_not_complete() -> None:
    errors = cloud_errors(plane()[:72], plane(), thresholds=[0.5])
    assert errors.accuracy == 0
    # Six rows are missing, at distances 1 to 6.
    assert errors.completeness == pytest.approx((1 + 2 + 3 + 4 + 5 + 6) / 12)
    assert errors.completeness_median == pytest.approx(0.5)
    score = errors.f_scores[0]
    assert (score.precision, score.recall) == (1, 0.5)
    assert score.f_score == pytest.approx(2 / 3)


def test_swapping_the_clouds_swaps_accuracy_and_completeness() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(k, 3, generator=generator).double() for k in (300, 500))
    there, back = cloud_distances(a, b), cloud_distances(b, a)
    assert (there.accuracy == back.completeness).all()
    assert (there.nearest_true == back.nearest_predicted).all()
    first, second = f_score(there, 0.05), f_score(back, 0.05)
    assert (first.precision, first.f_score) == (second.recall, second.f_score)


def test_threads_do_not_change_the_figures() -> None:
    a, b = sphere(500), sphere(600)
    assert cloud_errors(a, b, threads=2) == cloud_errors(a, b)


def test_normals_of_a_plane_are_exact() -> None:
    normals = estimate_normals(plane())
    torch.testing.assert_close(normals[:, 2].abs(), torch.ones(144).double())


def test_normals_of_a_sphere_point_to_its_centre() -> None:
    points = sphere()
    cosine = (estimate_normals(points) * points).sum(dim=-1).abs()
    assert cosine.min() > 0.99
    torch.testing.assert_close(estimate_normals(points).norm(dim=-1), torch.ones(4000).double())


def test_normals_do_not_suffer_from_a_world_far_from_its_origin() -> None:
    points = sphere(500)
    far = estimate_normals(points + 1e5)
    cosine = (far * estimate_normals(points)).sum(dim=-1).abs()
    assert cosine.min() > 1 - 1e-6


def test_two_points_have_no_normal() -> None:
    assert estimate_normals(plane()[:2]).isnan().all()


def test_the_sign_of_normals_does_not_matter() -> None:
    distances = cloud_distances(plane(), plane())
    up = torch.tensor([0, 0, 1.0]).double().expand(144, 3)
    tilted = torch.tensor([0.6, 0, 0.8]).double().expand(144, 3)
    along, back = normal_consistency(distances, -up, tilted)
    torch.testing.assert_close(along, torch.full((144,), 0.8).double())
    torch.testing.assert_close(back, torch.full((144,), 0.8).double())


def test_an_empty_prediction_has_no_distance_and_scores_nothing() -> None:
    errors = cloud_errors(torch.zeros(0, 3), plane(), thresholds=[0.1])
    assert math.isnan(errors.chamfer)
    assert errors.normals == errors.f_scores[0].f_score == 0
    assert errors.f_scores[0].threshold == 0.1


def test_an_empty_truth_is_refused() -> None:
    with pytest.raises(ValueError, match="true cloud is empty"):
        cloud_errors(plane(), torch.zeros(0, 3))
