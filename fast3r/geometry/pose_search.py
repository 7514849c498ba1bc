"""Search for camera poses among outliers: sample triples, score, keep and polish the best.

RANSAC with the MSAC score (Torr and Zisserman, 2000), all views at once. Candidates are ranked on
few points first, and only the best are ranked on more.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.p3p import solve_p3p
from fast3r.geometry.pose_refinement import Sightings, gauss_newton_step
from fast3r.geometry.transforms import in_double

# The first round serves most views; those left over take larger ones. In all, so many triples
# survive 80 % outliers.
_FIRST_TRIPLES, _MOST_TRIPLES, _ALL_TRIPLES = 64, 256, 2048
MAX_CANDIDATES = 4 * _ALL_TRIPLES
"""Poses that are tried for a view at most: each triple gives up to four."""

_MISS_PROBABILITY = 1e-4
# Points and candidates per view in the successive rankings of one round.
_FIRST_POINTS, _FIRST_KEPT = 64, 12
_SECOND_POINTS, _SECOND_KEPT = 512, 3
_POLISHING_STEPS = 3


def search_poses(
    seen: Sightings, threshold_px: float, generator: torch.Generator
) -> Float[Tensor, "views 3 4"]:
    """Return the best pose found for each view; nan where no triple gave one.

    Rounds go on for a view until an all-inlier triple has been missed with a probability below
    one in ten thousand, judged by the best pose so far, or all triples are spent.
    """
    best = seen.points.new_full((len(seen.points), 3, 4), torch.nan)
    best_cost = seen.points.new_full((len(seen.points),), torch.inf)
    best_ratio = torch.zeros_like(best_cost)
    pending = torch.arange(len(best), device=best.device)
    spent = 0
    while len(pending) > 0 and spent < _ALL_TRIPLES:
        count = min(max(spent, _FIRST_TRIPLES), _MOST_TRIPLES, _ALL_TRIPLES - spent)
        spent += count
        some = seen.of_views(pending)
        poses, cost, inlier_ratio = _search_round(some, threshold_px, count, generator)
        better = cost < best_cost[pending]
        best[pending[better]] = poses[better]
        best_cost[pending[better]] = cost[better]
        best_ratio[pending[better]] = inlier_ratio[better]
        all_inliers = best_ratio[pending].clamp(max=0.99) ** 3
        needed = math.log(_MISS_PROBABILITY) / torch.log1p(-all_inliers)
        pending = pending[spent < needed]
    return best


def _search_round(
    seen: Sightings, threshold_px: float, count: int, generator: torch.Generator
) -> tuple[Float[Tensor, "views 3 4"], Float[Tensor, " views"], Float[Tensor, " views"]]:
    """Return the best pose of one round of triples, its cost and its inlier ratio."""
    views, _, points = seen.points.shape
    triples = torch.randint(points, (count, 3), generator=generator)
    poses = _poses_from_triples(seen, triples.to(seen.points.device))
    poses = _keep_best(seen.first(_FIRST_POINTS), poses, threshold_px, _FIRST_KEPT)
    few = seen.first(_SECOND_POINTS)
    poses = _keep_best(few, poses, threshold_px, _SECOND_KEPT)
    kept = poses.shape[1]
    repeated = few.of_views(torch.arange(views, device=poses.device).repeat_interleave(kept))
    polished = poses.flatten(0, 1)
    scale_px = polished.new_full((len(polished),), threshold_px)
    for _ in range(_POLISHING_STEPS):
        polished = gauss_newton_step(repeated, polished, scale_px)
    candidates = torch.cat((poses, polished.unflatten(0, (views, kept))), dim=1)
    costs, inlier_ratios = _msac(few, candidates, threshold_px)
    cost, winner = costs.min(dim=1)
    each = torch.arange(views, device=poses.device)
    return candidates[each, winner], cost, inlier_ratios[each, winner]


def _poses_from_triples(seen: Sightings, triples: Tensor) -> Float[Tensor, "views candidates 3 4"]:
    """Return four candidate poses per triple of points; nan where one does not exist."""
    points = in_double(seen.points[:, :, triples]).permute(0, 2, 3, 1)
    pixels = in_double(seen.pixels[:, :, triples]).permute(0, 2, 3, 1)
    slopes = pixels / in_double(seen.focal_px)[:, None, None, :]
    rays = torch.cat((slopes, torch.ones_like(slopes[..., :1])), dim=-1)
    return solve_p3p(points, rays).flatten(1, 2).to(seen.points)


def _keep_best(
    seen: Sightings, poses: Float[Tensor, "views candidates 3 4"], threshold_px: float, count: int
) -> Float[Tensor, "views kept 3 4"]:
    """Return the candidates of least cost."""
    costs, _ = _msac(seen, poses, threshold_px)
    kept = costs.topk(min(count, costs.shape[1]), dim=1, largest=False).indices
    return poses[torch.arange(len(poses), device=poses.device)[:, None], kept]


def _msac(
    seen: Sightings, poses: Float[Tensor, "views candidates 3 4"], threshold_px: float
) -> tuple[Float[Tensor, "views candidates"], Float[Tensor, "views candidates"]]:
    """Return truncated squared errors, averaged and relative, and inlier ratios."""
    candidates = poses.shape[1]
    rows = poses.transpose(1, 2).flatten(1, 2)
    moved = torch.baddbmm(rows[..., 3:], rows[..., :3], seen.points)
    x, y, z = moved.unflatten(1, (3, candidates)).unbind(1)
    right = (seen.focal_px[:, :1, None] * x / z).sub_(seen.pixels[:, None, 0])
    down = (seen.focal_px[:, 1:, None] * y / z).sub_(seen.pixels[:, None, 1])
    relative = (right.square_().add_(down.square_())) / threshold_px**2
    usable = seen.weights[:, None] > 0
    # Comparing also turns the nan of a missing candidate into a full error.
    inlier = (relative < 1) & (z > 0) & usable
    total = seen.weights.gt(0).sum(dim=-1, keepdim=True).clamp(min=1)
    inliers = inlier.sum(dim=-1)
    cost = 1 - (inliers - relative.where(inlier, 0).sum(dim=-1)) / total
    return cost, inliers / total
