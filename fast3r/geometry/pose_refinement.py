"""Robust Gauss-Newton refinement of camera poses on many points, batched over views.

Everything here lives in a normalised world (points near the origin, spread about 1) and keeps
coordinates in rows of their own, `(views, 3, points)`, so that each step is a few long loops.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fast3r.geometry.robust import MEDIAN_LENGTH_2D, geman_mcclure_weight, weighted_median
from fast3r.geometry.transforms import in_double, rotation_exp

# Nearer points (in units of the world's spread) count as behind the camera.
_NEAREST = 1e-3


@dataclass(frozen=True)
class Sightings:
    """World points and where each was seen."""

    points: Float[Tensor, "views 3 points"]
    """World points."""

    pixels: Float[Tensor, "views 2 points"]
    """Offsets from the principal point."""

    weights: Float[Tensor, "views points"]
    """Confidence; 0 where a point must not count."""

    focal_px: Float[Tensor, "views 2"]
    """Focal length along x and y."""

    def first(self, count: int) -> "Sightings":
        """Return the sightings of the first points of each view."""
        return Sightings(
            self.points[..., :count],
            self.pixels[..., :count],
            self.weights[..., :count],
            self.focal_px,
        )

    def of_views(self, views: Int[Tensor, " chosen"]) -> "Sightings":
        """Return the sightings of some of the views; a view may repeat."""
        return Sightings(
            self.points[views], self.pixels[views], self.weights[views], self.focal_px[views]
        )


def reprojection_squared(
    seen: Sightings, poses: Float[Tensor, "views 3 4"]
) -> Float[Tensor, "views points"]:
    """Return squared reprojection errors in px²; infinite behind the camera or of no weight."""
    x, y, z = torch.baddbmm(poses[..., 3:], poses[..., :3], seen.points).unbind(1)
    right = seen.focal_px[:, :1] * x / z - seen.pixels[:, 0]
    down = seen.focal_px[:, 1:] * y / z - seen.pixels[:, 1]
    squared = right.square().add_(down.square())
    return squared.where((z > _NEAREST) & (seen.weights > 0), torch.inf)


def noise_px(
    squared: Float[Tensor, "views points"], threshold_px: float
) -> Float[Tensor, " views"]:
    """Return the standard deviation per axis of the errors below a threshold, robustly."""
    below = squared < threshold_px**2
    return weighted_median(squared, below.to(squared)).sqrt() / MEDIAN_LENGTH_2D


def gauss_newton_step(
    seen: Sightings, poses: Float[Tensor, "views 3 4"], scale_px: Float[Tensor, " views"]
) -> Float[Tensor, "views 3 4"]:
    """Return poses after one step on Geman-McClure reweighted errors."""
    jacobian = _weighted_jacobian(seen, poses, scale_px)
    normal = in_double(jacobian @ jacobian.mT)
    hessian, gradient = normal[:, :-1, :-1], normal[:, :-1, -1]
    step = -_solve_damped(hessian, gradient).to(poses)
    turn, shift = step.split(3, dim=1)
    moved = rotation_exp(turn) @ poses
    return torch.cat((moved[..., :3], moved[..., 3:] + shift[..., None]), dim=-1)


def _weighted_jacobian(
    seen: Sightings, poses: Float[Tensor, "views 3 4"], scale_px: Float[Tensor, " views"]
) -> Float[Tensor, "views 7 rows"]:
    """Return the rows of the least-squares problem: six parameters, and the residual last.

    Parameters are a turn and a shift of the camera frame. The residuals along x fill the first half
    of the last axis, y the second.
    """
    x, y, z = torch.baddbmm(poses[..., 3:], poses[..., :3], seen.points).unbind(1)
    inverse = z.clamp(min=_NEAREST).reciprocal()
    a, b = x * inverse, y * inverse
    focal_x, focal_y = seen.focal_px[:, :1], seen.focal_px[:, 1:]
    right = focal_x * a - seen.pixels[:, 0]
    down = focal_y * b - seen.pixels[:, 1]
    squared = right.square().add_(down.square())
    weights = geman_mcclure_weight(squared, scale_px[:, None]) * seen.weights
    root = weights.mul_(z > _NEAREST).sqrt_()
    root_x, root_y = root * focal_x, root * focal_y
    rows = a.new_zeros((len(a), 7, 2, a.shape[-1]))
    ab = a * b
    for axis, entries in enumerate(
        (
            (-ab, a.square() + 1, -b, inverse, None, -a * inverse),
            (-b.square() - 1, ab, a, None, inverse, -b * inverse),
        )
    ):
        for parameter, entry in enumerate(entries):
            if entry is not None:
                torch.mul(entry, (root_x, root_y)[axis], out=rows[:, parameter, axis])
    torch.mul(right, root, out=rows[:, -1, 0])
    torch.mul(down, root, out=rows[:, -1, 1])
    return rows.flatten(2)


def _solve_damped(
    hessian: Float[Tensor, "views 6 6"], gradient: Float[Tensor, "views 6"]
) -> Float[Tensor, "views 6"]:
    """Return the Gauss-Newton step, barely damped; nan where nothing determines it."""
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    damped = hessian + torch.diag_embed(1e-6 * diagonal)
    return torch.linalg.solve_ex(damped, gradient)[0]


def determinacy(
    seen: Sightings, poses: Float[Tensor, "views 3 4"], scale_px: Float[Tensor, " views"]
) -> Float[Tensor, " views"]:
    """Return how well the points determine a pose, in [0, 1]; 0 where some motion is free.

    The least eigenvalue of the normal equations after scaling their diagonal to 1: the squared
    ratio between the image change of the least visible combination of motions and that of one
    motion alone.
    """
    jacobian = _weighted_jacobian(seen, poses, scale_px)[:, :-1]
    hessian = in_double(jacobian @ jacobian.mT)
    root = hessian.diagonal(dim1=-2, dim2=-1).sqrt()
    correlation = hessian / (root[:, :, None] * root[:, None, :])
    # The decomposition refuses nan.
    least = torch.linalg.eigvalsh(correlation.nan_to_num(0, 0, 0))[:, 0]
    return least.to(seen.points)
