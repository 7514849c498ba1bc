import math

import pytest
import torch

from fast3r.evaluation.metrics.pointmaps import pointmap_error

POINTS = torch.randn(2, 4, 4, 3, generator=torch.Generator().manual_seed(0))
VALID = torch.ones(2, 4, 4, dtype=torch.bool)


def test_scale_is_forgiven() -> None:
    assert pointmap_error(POINTS * 7, POINTS, VALID) == pytest.approx(0, abs=1e-6)


def test_a_point_map_turned_inside_out_is_off_by_twice_its_size() -> None:
    assert pointmap_error(-POINTS, POINTS, VALID) == pytest.approx(2)


def test_only_valid_pixels_count() -> None:
    wrong, valid = POINTS.clone(), VALID.clone()
    wrong[0, 0], valid[0, 0] = 100, False
    assert pointmap_error(wrong, POINTS, valid) == pytest.approx(0, abs=1e-6)
    assert math.isnan(pointmap_error(POINTS, POINTS, ~VALID))
