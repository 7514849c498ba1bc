import math
from dataclasses import astuple

import pytest
import torch

from fast3r.evaluation.metrics.depth import (
    DepthErrors,
    DepthScaling,
    depth_errors,
    fit_depth,
    mean_depth_errors,
    scale_depth,
    score_depth,
)


def a_depth(seed: int = 0) -> torch.Tensor:
    return 1 + torch.rand(8, 8, generator=torch.Generator().manual_seed(seed))


def assert_perfect(errors: DepthErrors) -> None:
    assert errors.abs_rel == pytest.approx(0, abs=1e-6)
    assert errors.sq_rel == pytest.approx(0, abs=1e-6)
    assert errors.rmse == pytest.approx(0, abs=1e-6)
    assert errors.log_rmse == pytest.approx(0, abs=1e-6)
    assert errors.delta_103 == errors.delta_125_3 == errors.known == 1


@pytest.mark.parametrize("scaling", ["median", "least_squares", "scale_and_shift"])
def test_a_factor_is_forgiven(scaling: DepthScaling) -> None:
    assert_perfect(score_depth([a_depth() * 5], [a_depth()], scaling=scaling)[0])


def test_an_offset_is_forgiven_only_where_asked() -> None:
    assert_perfect(score_depth([a_depth() * 3 + 2], [a_depth()], scaling="scale_and_shift")[0])
    for scaling in ("none", "median", "least_squares"):
        assert score_depth([a_depth() * 3 + 2], [a_depth()], scaling=scaling)[0].abs_rel > 0.05


def test_nothing_is_forgiven_without_scaling() -> None:
    errors = score_depth([a_depth() * 1.04], [a_depth()], scaling="none")[0]
    assert errors.abs_rel == pytest.approx(0.04, rel=1e-5)
    assert errors.log_rmse == pytest.approx(math.log(1.04), rel=1e-5)
    assert (errors.delta_103, errors.delta_105) == (0, 1)


def test_known_errors_give_known_figures() -> None:
    errors = depth_errors(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.0]))
    assert errors.abs_rel == pytest.approx(0.5)
    assert errors.sq_rel == pytest.approx(0.5)
    assert errors.rmse == pytest.approx(1)
    expected = ((math.log(2) ** 2 + math.log(1.5) ** 2) / 2) ** 0.5
    assert errors.log_rmse == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ratio", "within"),
    [(1.02, 6), (1.04, 5), (1.08, 4), (1.2, 3), (1.5, 2), (1.9, 1), (2.1, 0)],
)
def test_the_larger_ratio_of_two_depths_decides_who_is_within(ratio: float, within: int) -> None:
    for made, true in ((ratio, 1.0), (1.0, ratio)):
        e = depth_errors(torch.tensor([made]), torch.tensor([true]))
        shares = (e.delta_103, e.delta_105, e.delta_110, e.delta_125, e.delta_125_2, e.delta_125_3)
        assert sum(shares) == within


def test_a_pixel_without_a_prediction_is_an_outlier() -> None:
    truth = torch.full((2, 2), 2.0)
    for unknown in (0.0, torch.nan, torch.inf):
        predicted = torch.tensor([[2.0, 2.0], [2.0, unknown]])
        errors = score_depth([predicted], [truth])[0]
        assert errors.known == errors.delta_125_3 == 0.75
        assert errors.abs_rel == pytest.approx(0.25)
        assert errors.log_rmse == 0


def test_a_depth_behind_the_camera_is_an_outlier() -> None:
    errors = depth_errors(torch.tensor([-1.0, torch.nan]), torch.tensor([1.0, 1.0]))
    assert errors.delta_125_3 == errors.known == 0
    assert errors.abs_rel == pytest.approx((2 + 1) / 2)


def test_a_view_without_any_prediction_is_wrong_everywhere() -> None:
    errors = score_depth([torch.zeros(2, 2)], [torch.ones(2, 2)])[0]
    assert (errors.abs_rel, errors.delta_125_3, errors.known) == (1, 0, 0)
    assert math.isnan(errors.log_rmse)


def test_unknown_truth_does_not_count() -> None:
    truth, predicted = a_depth(), a_depth()
    truth[0], predicted[0] = 0, 100
    assert_perfect(score_depth([predicted], [truth])[0])
    nothing = score_depth([predicted], [torch.zeros(8, 8)])[0]
    assert all(math.isnan(figure) for figure in astuple(nothing))


def test_each_view_has_its_own_scale_unless_shared() -> None:
    predicted, truth = [a_depth(0), a_depth(1) * 2], [a_depth(0), a_depth(1)]
    for errors in score_depth(predicted, truth):
        assert_perfect(errors)
    assert max(errors.abs_rel for errors in score_depth(predicted, truth, shared=True)) > 0.2
    together = [depth * 3 for depth in truth]
    for errors in score_depth(together, truth, shared=True):
        assert_perfect(errors)


def test_least_squares_leaves_the_least_squared_error() -> None:
    predicted, truth = a_depth(0).flatten(), a_depth(1).flatten()
    for scaling in ("least_squares", "scale_and_shift"):
        fit = fit_depth(predicted, truth, scaling)
        best = depth_errors(scale_depth(predicted, fit), truth).rmse
        for factor in (0.99, 1.01):
            worse = scale_depth(predicted, fit._replace(scale=fit.scale * factor))
            assert depth_errors(worse, truth).rmse > best


def test_the_median_of_an_even_number_is_between_the_middle_two() -> None:
    fit = fit_depth(torch.tensor([1.0, 1.0]), torch.tensor([2.0, 4.0]), "median")
    assert fit == (3.0, 0.0)


def test_unknown_stays_unknown_under_a_shift() -> None:
    fit = fit_depth(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), "scale_and_shift")
    assert scale_depth(torch.tensor([0.0, 1.0]), fit).tolist() == pytest.approx([0, 3])


def test_views_count_the_same_and_undefined_ones_not() -> None:
    whole = score_depth([a_depth()], [a_depth()], scaling="none")[0]
    double = score_depth([a_depth() * 2], [a_depth()], scaling="none")[0]
    nothing = score_depth([a_depth()], [torch.zeros(8, 8)], scaling="none")[0]
    mean = mean_depth_errors([whole, double, nothing])
    assert mean.abs_rel == pytest.approx(0.5)
    assert mean.delta_125 == 0.5
    assert all(math.isnan(figure) for figure in astuple(mean_depth_errors([])))


def test_of_a_flat_prediction_the_offset_is_fitted() -> None:
    truth = a_depth().double()
    # Flat but for rounding, which must not be taken for relief.
    for predicted in (torch.full((8, 8), 0.7), 0.7 + 1e-9 * a_depth(1).double()):
        errors = score_depth([predicted], [truth], scaling="scale_and_shift")[0]
        assert errors.rmse == pytest.approx(truth.std(correction=0).item())
