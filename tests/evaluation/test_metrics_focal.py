import pytest
import torch

from fast3r.evaluation.metrics.focal import focal_errors
from fast3r.geometry.cameras import pinhole


def test_a_focal_off_by_a_tenth_is_off_by_a_tenth() -> None:
    truth = pinhole(torch.tensor([100.0, 100.0, 100.0]), 48, 64)
    predicted = pinhole(torch.tensor([100.0, 110.0, 90.0]), 48, 64)
    found = focal_errors(list(predicted), truth)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.1, 0.1]))


def test_the_mean_of_both_axes_is_compared() -> None:
    truth = pinhole(torch.tensor([100.0]), 48, 64)
    stretched = truth.clone()
    stretched[0, 0, 0], stretched[0, 1, 1] = 200.0, 50.0
    assert focal_errors(list(stretched), truth).item() == pytest.approx(0)


def test_a_view_without_intrinsics_has_no_error() -> None:
    truth = pinhole(torch.tensor([100.0, 100.0]), 48, 64)
    assert focal_errors([None, truth[1]], truth).isnan().tolist() == [True, False]
