import math
from dataclasses import astuple

import pytest
import torch

from fast3r.evaluation.metrics.depth import DepthErrors, depth_errors, scale_depth, score_depth


def a_depth(seed: int = 0) -> torch.Tensor:
    return 1 + torch.rand(8, 8, generator=torch.Generator().manual_seed(seed))


def assert_perfect(errors: DepthErrors) -> None:
    assert errors.abs_rel == pytest.approx(0, abs=1e-6)
    assert errors.delta_103 == errors.delta_125 == 1


def test_a_factor_is_forgiven_and_an_offset_is_not() -> None:
    assert_perfect(score_depth([a_depth() * 5], [a_depth()])[0])
    assert score_depth([a_depth() * 3 + 2], [a_depth()])[0].abs_rel > 0.05


def test_nothing_is_forgiven_without_scaling() -> None:
    errors = depth_errors(a_depth().flatten() * 1.04, a_depth().flatten())
    assert errors.abs_rel == pytest.approx(0.04, rel=1e-5)
    assert (errors.delta_103, errors.delta_125) == (0, 1)


@pytest.mark.parametrize(("ratio", "within"), [(1.02, 2), (1.04, 1), (1.2, 1), (1.3, 0)])
def test_the_larger_ratio_of_two_depths_decides_who_is_within(ratio: float, within: int) -> None:
    for made, true in ((ratio, 1.0), (1.0, ratio)):
        errors = depth_errors(torch.tensor([made]), torch.tensor([true]))
        assert errors.delta_103 + errors.delta_125 == within


def test_a_pixel_without_a_prediction_is_an_outlier() -> None:
    truth = torch.full((2, 2), 2.0)
    for unknown in (0.0, torch.nan, torch.inf):
        predicted = torch.tensor([[2.0, 2.0], [2.0, unknown]])
        errors = score_depth([predicted], [truth])[0]
        assert errors.delta_125 == 0.75
        assert errors.abs_rel == pytest.approx(0.25)


def test_a_depth_behind_the_camera_is_an_outlier() -> None:
    errors = depth_errors(torch.tensor([-1.0, torch.nan]), torch.tensor([1.0, 1.0]))
    assert errors.delta_125 == 0
    assert errors.abs_rel == pytest.approx((2 + 1) / 2)


def test_a_view_without_any_prediction_is_wrong_everywhere() -> None:
    errors = score_depth([torch.zeros(2, 2)], [torch.ones(2, 2)])[0]
    assert astuple(errors) == (1, 0, 0)


def test_unknown_truth_does_not_count() -> None:
    truth, predicted = a_depth(), a_depth()
    truth[0], predicted[0] = 0, 100
    assert_perfect(score_depth([predicted], [truth])[0])
    nothing = score_depth([predicted], [torch.zeros(8, 8)])[0]
    assert all(math.isnan(figure) for figure in astuple(nothing))


def test_each_view_has_its_own_scale() -> None:
    for errors in score_depth([a_depth(0), a_depth(1) * 2], [a_depth(0), a_depth(1)]):
        assert_perfect(errors)


def test_the_median_of_an_even_number_is_between_the_middle_two() -> None:
    scaled = scale_depth(torch.tensor([1.0, 1.0, 0.0]), torch.tensor([2.0, 4.0, 5.0]))
    assert scaled.tolist() == [3, 3, 0]
