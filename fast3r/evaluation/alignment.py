"""How a predicted world is laid over the true one before anything is measured.

The maps are `truth_from_predicted`; None where the data does not determine one.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
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
_TRIPLES = 512
_ROUNDS = 10
_MIN_CONSENSUS = 4
_ICP_TOLERANCE = 1e-6


def align_poses(
    predicted: Sequence[Float[Tensor, "4 4"] | None],
    truth: Float[Tensor, "views 4 4"],
    *,
    with_scale: bool = True,
) -> Similarity | None:
    """Return the similarity that brings camera centres closest to the true ones (Umeyama, 1991).

    Where the centres lie on a line, the turn about it is what best agrees with the orientations
    of the cameras. The distances of centres do not depend on it, those of points do.

    Args:
        predicted: world_from_camera of each view; None does not count.
        truth: world_from_camera of each view.
        with_scale: False keeps the predicted scale.

    Returns:
        None without poses, or where a scale is asked for and the centres of one world coincide.
    """
    poses, true_poses, found = match_poses(predicted, truth)
    made, true = poses[found], true_poses[found]
    if len(made) == 0:
        return None
    made_mean, true_mean = made[:, :3, 3].mean(dim=0), true[:, :3, 3].mean(dim=0)
    made_centred, true_centred = made[:, :3, 3] - made_mean, true[:, :3, 3] - true_mean
    covariance = true_centred.mT @ made_centred
    turns = (true[:, :3, :3] @ made[:, :3, :3].mT).mean(dim=0)
    rotation = _rotation(covariance, turns)
    scale = torch.ones_like(covariance[0, 0])
    if with_scale:
        if _coincide(made[:, :3, 3]) or _coincide(true[:, :3, 3]):
            return None
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


def align_poses_robustly(
    predicted: Sequence[Float[Tensor, "4 4"] | None],
    truth: Float[Tensor, "views 4 4"],
    *,
    max_distance: float = 0.1,
    seed: int = 0,
) -> tuple[Similarity, Bool[Tensor, " views"]] | None:
    """Return a similarity that most camera centres agree on, and which views do (RANSAC).

    Fits to triples of views, all of them or 512 at random; the one that brings most centres
    within the distance is fitted again to those, until they stay the same.

    Args:
        predicted: world_from_camera of each view; None does not count.
        truth: world_from_camera of each view.
        max_distance: Of an inlier, over the root mean square distance of the true centres from
            their mean.
        seed: Of the triples.

    Returns:
        None where fewer than 4 views agree, or no set of views keeps agreeing.
    """
    poses, true_poses, found = match_poses(predicted, truth)
    made, true = poses[:, :3, 3], true_poses[:, :3, 3]
    if found.sum() < _MIN_CONSENSUS:
        return None
    limit = max_distance * (true - true[found].mean(dim=0))[found].square().sum(-1).mean().sqrt()
    triples = _triples(found, seed)
    fits = fit_similarity(made[triples], true[triples])
    # A triple without extent gives nan, which is near nothing.
    near = (_apart(fits, made.expand(len(triples), -1, -1), true) < limit) & found
    inliers = near[near.sum(dim=-1).argmax()]
    for _ in range(_ROUNDS):
        kept = [pose if agrees else None for pose, agrees in zip(predicted, inliers, strict=True)]
        fit = align_poses(kept, truth) if inliers.sum() >= _MIN_CONSENSUS else None
        if fit is None:
            return None
        now = (_apart(fit, made, true) < limit) & found
        if (now == inliers).all():
            return fit, inliers
        inliers = now
    return None


def _apart(
    fit: Similarity, made: Float[Tensor, "*fits views 3"], true: Float[Tensor, "views 3"]
) -> Float[Tensor, "*fits views"]:
    return torch.linalg.vector_norm(fit(made) - true, dim=-1)


def _triples(found: Bool[Tensor, " views"], seed: int) -> Int[Tensor, "triples 3"]:
    """Return triples of the views found: all, or as many as are tried at random."""
    views = found.nonzero()[:, 0]
    if math.comb(len(views), 3) <= _TRIPLES:
        return torch.combinations(views, 3)
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randperm(len(views), generator=generator)[:3] for _ in range(_TRIPLES)]
    return views[torch.stack(drawn).to(views.device)]


def align_points(
    predicted: Float[Tensor, "points 3"],
    truth: Float[Tensor, "points 3"],
    weights: Float[Tensor, " points"] | None = None,
) -> Similarity | None:
    """Return the similarity that best maps points onto their true places (Umeyama, 1991).

    Args:
        predicted: Points; those that are not finite do not count.
        truth: The same points in the true world.
        weights: Of each pair; 0 excludes it.

    Returns:
        None where fewer than 3 pairs count, or all that count lie on a line.
    """
    used = predicted.isfinite().all(dim=-1) & truth.isfinite().all(dim=-1)
    if weights is not None:
        used = used & (weights > 0)
        weights = in_double(weights[used])
    made, true = in_double(predicted[used]), in_double(truth[used])
    if len(made) < 3 or _thin(made) or _thin(true):
        return None
    return fit_similarity(made, true, weights)


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
