"""How a predicted world is laid over the true one before anything is measured.

The maps are `truth_from_predicted`; None where the data does not determine one.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.evaluation.metrics.neighbours import Neighbours
from fast3r.evaluation.metrics.poses import match_poses
from fast3r.geometry.transforms import (
    Similarity,
    fit_similarity,
    in_double,
    nearest_rotation,
    rotation_exp,
)

# Singular values of a covariance are squared lengths: points this thin lie on a line.
_THIN = 1e-6
# Centres this near to each other, relative to their distance from the origin, differ by rounding.
_ROUNDING = 1e-10
_ICP_TOLERANCE = 1e-6


def align_poses(
    predicted: Sequence[Float[Tensor, "4 4"] | None], truth: Float[Tensor, "views 4 4"]
) -> Similarity | None:
    """Return the similarity that brings camera centres closest to the true ones (Umeyama, 1991).

    Where the centres lie on a line, the turn about it is what best agrees with the orientations
    of the cameras. The distances of centres do not depend on it, those of points do.

    Args:
        predicted: world_from_camera of each view; None does not count.
        truth: world_from_camera of each view.

    Returns:
        None without poses, or where the centres of one world coincide.
    """
    poses, true_poses, found = match_poses(predicted, truth)
    made, true = poses[found], true_poses[found]
    if len(made) == 0 or _coincide(made[:, :3, 3]) or _coincide(true[:, :3, 3]):
        return None
    made_mean, true_mean = made[:, :3, 3].mean(dim=0), true[:, :3, 3].mean(dim=0)
    made_centred, true_centred = made[:, :3, 3] - made_mean, true[:, :3, 3] - true_mean
    covariance = true_centred.mT @ made_centred
    turns = (true[:, :3, :3] @ made[:, :3, :3].mT).mean(dim=0)
    rotation = _rotation(covariance, turns)
    scale = (rotation * covariance).sum() / made_centred.square().sum()
    return Similarity(scale, rotation, true_mean - scale * (rotation @ made_mean))


def _coincide(centres: Float[Tensor, "views 3"]) -> bool:
    size = torch.linalg.matrix_norm(centres)
    return bool(torch.linalg.matrix_norm(centres - centres.mean(dim=0)) <= _ROUNDING * size)


def _rotation(
    covariance: Float[Tensor, "3 3"], turns: Float[Tensor, "3 3"]
) -> Float[Tensor, "3 3"]:
    """Return the rotation nearest to a covariance; what that leaves free, nearest to `turns`."""
    axes, values, _ = torch.linalg.svd(covariance)
    if values[0] == 0:
        return nearest_rotation(turns)
    rotation = nearest_rotation(covariance)
    if values[1] > _THIN * values[0]:
        return rotation
    axis, rest = axes[:, 0], turns @ rotation.mT
    sine = axis @ (rest - rest.mT)[[2, 0, 1], [1, 2, 0]]
    cosine = rest.trace() - axis @ rest @ axis
    return rotation_exp(torch.atan2(sine, cosine) * axis) @ rotation


def align_points(
    predicted: Float[Tensor, "points 3"], truth: Float[Tensor, "points 3"]
) -> Similarity | None:
    """Return the similarity that best maps points onto their true places (Umeyama, 1991).

    Args:
        predicted: Points; those that are not finite do not count.
        truth: The same points in the true world.

    Returns:
        None where fewer than 3 pairs count, or all that count lie on a line.
    """
    used = predicted.isfinite().all(dim=-1) & truth.isfinite().all(dim=-1)
    made, true = in_double(predicted[used]), in_double(truth[used])
    if len(made) < 3 or _thin(made) or _thin(true):
        return None
    return fit_similarity(made, true)


def _thin(points: Float[Tensor, "points 3"]) -> bool:
    centred = points - points.mean(dim=0)
    values = torch.linalg.eigvalsh(centred.mT @ centred)
    return bool(values[1] <= _THIN * values[2])


def above_percentile(
    confidence: Float[Tensor, "*shape"], percentile: float
) -> Bool[Tensor, "*shape"]:
    """Return where a view's confidence is no less than its percentile (0 to 100)."""
    # torch.quantile refuses more than 16 million values.
    least = np.quantile(confidence.detach().cpu().double().numpy(), percentile / 100)
    return in_double(confidence) >= float(least)


def refine_by_icp(
    predicted: Float[Tensor, "points 3"],
    truth: Float[Tensor, "others 3"],
    *,
    max_distance: float,
    iterations: int = 30,
    threads: int = 1,
) -> Similarity | None:
    """Return the rigid motion at which ICP ends (Besl and McKay, 1992), point to point.

    Each step pairs every predicted point with the nearest true one and fits the pairs. It ends
    where neither the share of pairs nor their error changes by more than 1e-6, as in Open3D.

    Args:
        predicted: Roughly aligned points.
        truth: Points of the true surface.
        max_distance: A pair farther apart does not count; in units of truth.
        iterations: At most so many steps.
        threads: For the search of neighbours; -1 for all cores.

    Returns:
        None where fewer than 3 pairs are near, or all of them lie on a line.

    Raises:
        ImportError: Without SciPy.
        ValueError: A point is not finite.
    """
    start, true = in_double(predicted), in_double(truth)
    tree = Neighbours(true, threads=threads)
    fit = Similarity(start.new_ones(()), torch.eye(3).to(start), start.new_zeros(3))
    before = (torch.inf, torch.inf)
    for _ in range(iterations):
        distance, index = tree.nearest(fit(start))
        near = distance < max_distance
        made, pairs = start[near], true[index[near]]
        if len(made) < 3 or _thin(made) or _thin(pairs):
            return None
        now = (near.double().mean().item(), distance[near].square().mean().sqrt().item())
        if max(abs(a - b) for a, b in zip(now, before, strict=True)) < _ICP_TOLERANCE:
            break
        fit, before = fit_similarity(made, pairs, with_scale=False), now
    return fit
