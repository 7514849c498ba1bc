"""The rules by which single pixels become points."""

import math

import pytest
import torch

from fast3r.geometry.cameras import pixel_grid
from fast3r.scene.trusted_pixels import depth_slope, surest_pixels


@pytest.mark.parametrize("slant_deg", [0, 30, 60, 80])
def test_the_slope_of_a_plane_at_the_image_centre_is_the_tangent_of_its_slant(
    slant_deg: float,
) -> None:
    tangent = math.tan(math.radians(slant_deg))
    x = (pixel_grid(5, 5)[..., 0] - 2.5) / 1000
    depth = 3 / (1 - tangent * x)
    assert depth_slope(depth, 1000.0)[2, 2].item() == pytest.approx(tangent, rel=0.01, abs=1e-6)


def test_neighbours_without_depth_make_no_slope() -> None:
    depth = torch.full((5, 5), 2.0)
    depth[0], depth[:, 4], depth[4, 0], depth[1, 1] = 0, torch.inf, torch.nan, -3
    slope = depth_slope(depth, 500.0)
    assert slope[2:4, 1:3].abs().max() == 0


def test_equal_confidences_stay_together() -> None:
    confidence, valid = torch.ones(4, 5), torch.ones(4, 5, dtype=torch.bool)
    assert surest_pixels(confidence, valid, 30).all()


def test_the_surest_pixel_stays_at_any_percentile() -> None:
    confidence, valid = torch.arange(20.0).reshape(4, 5), torch.ones(4, 5, dtype=torch.bool)
    assert surest_pixels(confidence, valid, 100).nonzero().tolist() == [[3, 4]]


def test_pixels_that_do_not_count_do_not_move_the_percentile() -> None:
    confidence = torch.arange(20.0).reshape(4, 5)
    valid = confidence < 10
    assert confidence[surest_pixels(confidence, valid, 50)].tolist() == [5, 6, 7, 8, 9]
