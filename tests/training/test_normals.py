"""Normals: known for planes and spheres, blind to scale, careful at depth jumps."""

import math

import pytest
import torch
from torch import Tensor

from fast3r.training.normals import normal_error, smooth, surface_normals


def plane(tilt_deg: float, scale: float = 1.0) -> Tensor:
    """A plane through (0, 0, 2) turned about the x axis, seen by a pinhole camera."""
    y, x = torch.meshgrid(
        torch.linspace(-0.3, 0.3, 12), torch.linspace(-0.4, 0.4, 16), indexing="ij"
    )
    rays = torch.stack((x, y, torch.ones_like(x)), dim=-1)
    normal = torch.tensor([0, math.sin(math.radians(tilt_deg)), -math.cos(math.radians(tilt_deg))])
    depth = 2 * normal[2] / (rays @ normal)
    return (scale * depth[..., None] * rays)[None, None]


EVERYWHERE = torch.ones(1, 1, 12, 16, dtype=torch.bool)


@pytest.mark.parametrize("tilt_deg", [0.0, 20.0, -40.0])
def test_the_error_is_one_minus_the_cosine_of_the_angle(tilt_deg: float) -> None:
    error = normal_error(plane(tilt_deg), plane(0.0), EVERYWHERE)
    assert error == pytest.approx(1 - math.cos(math.radians(tilt_deg)), abs=1e-5)


def test_scale_does_not_matter() -> None:
    assert normal_error(plane(20.0, scale=7.0), plane(20.0), EVERYWHERE) == pytest.approx(
        0, abs=1e-5
    )


def test_normals_of_a_plane_are_its_normal() -> None:
    normals = surface_normals(plane(30.0))
    wanted = torch.tensor([0, 0.5, -math.cos(math.radians(30))])
    torch.testing.assert_close(normals.abs(), wanted.abs().expand_as(normals), atol=1e-4, rtol=0)


def test_where_depth_jumps_there_is_no_normal() -> None:
    points = plane(0.0)
    points[..., 8:, :] *= 3
    where = smooth(points, EVERYWHERE)[0, 0]
    assert not where[:, 6:8].any()
    assert where[:, :5].all()


def test_what_is_not_valid_has_no_say() -> None:
    valid = EVERYWHERE.clone()
    valid[..., :8, :] = False
    made = torch.cat((plane(60.0)[..., :7, :, :], plane(0.0)[..., 7:, :, :]), dim=2)
    assert normal_error(made, plane(0.0), valid) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("valid", [True, False])
def test_points_that_coincide_give_finite_gradients(valid: bool) -> None:
    made = torch.zeros(1, 1, 12, 16, 3, requires_grad=True)
    error = normal_error(made, plane(0.0), EVERYWHERE & valid)
    (gradient,) = torch.autograd.grad(error, made)
    assert gradient.isfinite().all()
