"""Camera poses from matches between patches: pairs of views, then all of them together.

Pointmaps say where everything is, all at once and roughly. Matches say of two views that they see
the same point, to a fraction of a patch, and they can be checked: of one view the depth is known,
so a match in another is an equation for its pose. Pairs of views are brought together by these
(PnP), all pairs by a pose graph that lets wrong ones go, and all matches by bundle adjustment,
which also finds the focal lengths that nobody knows: many matches tell them better than one view.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.adjustment import Adjusted, Observations, adjust_views
from fast3r.geometry.cameras import invert_rigid, project, rays_through
from fast3r.geometry.pose_graph import Links, follow_links, solve_pose_graph
from fast3r.geometry.poses import solve_poses
from fast3r.geometry.transforms import Similarity
from fast3r.scene.focals import Lenses
from fast3r.scene.patch_matches import (
    Pair,
    Patches,
    ViewMatches,
    likely_pairs,
    match_views,
    most_alike,
)

# In sides of a patch. A match is some eighth of a patch off.
_MAX_REPROJECTION = 0.75
_SIGMA = 0.125
_SIGMA_LOG_DEPTH = 0.4
# Of logarithms of focal lengths: from what a view tells of its lens, and from view to view through
# what may be several lenses. Errors of matches have causes in common, so that a hundred of them say
# what one would that has its own.
_SIGMA_LOG_FOCAL = 0.2
_SIGMA_SEVERAL_LENSES = 0.1
_MATCHES_PER_CAUSE = 100
_SIGMA_SAME_LENS = 1e-5
_COST_OF_SEVERAL_LENSES = 0.95
"""Only if the views fit so much better are they taken for photos through lenses of their own."""

_MOST_TOGETHER = 96
"""With more views, so many are placed together, and each of the others by one of these."""

_MIN_INLIERS = 8.0
_MIN_QUALITY = 3.0
_SIGMA_OF_LINK = 0.03
_SIGMA_AT_QUALITY = 1.0
_MIN_INLIER_RATIO = 0.05
# Of a pose from pointmaps: turn in radians, shift and log of scale, the shift in distances.
_SIGMA_OF_POINTMAPS = (1.0,) * 3 + (3.0,) * 3 + (2.0,)
_NOWHERE = Similarity.identity()


@dataclass(frozen=True)
class MatchedPoses:
    """Where views stand by their matches."""

    world_from_view: Similarity
    """From the frame and unit of each local pointmap; means nothing for views that are not tied."""

    tied: Bool[Tensor, " views"]
    """Whether enough matches with other views agree with it."""

    longer: Float[Tensor, " views"]
    """Times the focal length that a view was said to have; 1 where that was known."""


class _Link(NamedTuple):
    """How one view lies in the frame and unit of another."""

    first: int
    second: int
    first_from_second: Similarity
    joint: Similarity
    """Centre and extent of what both see, in the first view."""
    sigma: tuple[float, ...]
    """Of turn, shift and logarithm of the scale, as the pose graph has it."""


def poses_from_matches(
    views: Sequence[Patches],
    intrinsics: Float[Tensor, "views 3 3"],
    lenses: Lenses,
    start: Sequence[Similarity | None],
    *,
    seed: int,
) -> MatchedPoses:
    """Return where views stand by their matches, in the world of the poses that are known.

    Args:
        views: Patches with features and local depth.
        intrinsics: In pixels of the network's images; nan where unknown.
        lenses: Those that the views look through.
        start: Where the pointmaps put each view; None where they do not tell. The first view that
            has a place stays there.
        seed: Of the sampling.
    """
    known = _Views.through(views, intrinsics, lenses)
    if len(views) <= _MOST_TOGETHER:
        return _together(known, start, seed)[0]
    keys = torch.linspace(0, len(views) - 1, _MOST_TOGETHER).round().long().tolist()
    placed, deeper = _together(known.some(keys), [start[key] for key in keys], seed)
    return _with_others(known, dict(zip(keys, range(len(keys)), strict=True)), placed, deeper, seed)


@dataclass(frozen=True)
class _Views:
    """What is known of each view before any of its poses."""

    patches: Sequence[Patches]
    points: Sequence[Float[Tensor, "_ 3"]]
    """The middles of its patches, in its own frame and unit."""
    intrinsics: Float[Tensor, "views 3 3"]
    lenses: Lenses

    @classmethod
    def through(
        cls, views: Sequence[Patches], intrinsics: Float[Tensor, "views 3 3"], lenses: Lenses
    ) -> "_Views":
        """Return what is known by patches and intrinsics."""
        points = [
            view.depth[:, None] * rays_through(view.centre, matrix.double())
            for view, matrix in zip(views, intrinsics, strict=True)
        ]
        return cls(views, points, intrinsics, lenses)

    def some(self, chosen: Sequence[int]) -> "_Views":
        """Return what is known of some of them."""
        patches, points = [self.patches[i] for i in chosen], [self.points[i] for i in chosen]
        return _Views(patches, points, self.intrinsics[chosen], self.lenses.some(chosen))

    def matches(self, pairs: Iterable[Pair]) -> dict[Pair, ViewMatches]:
        """Return the matches of pairs, both ways, where there are enough to tell anything."""
        usable = self.intrinsics.isfinite().flatten(1).all(dim=1)
        pairs = [pair for pair in pairs if usable[list(pair)].all()]
        found = match_views(self.patches, pairs)
        return {pair: each for pair, each in found.items() if len(each.patch) >= _MIN_INLIERS}


def _together(
    views: _Views, start: Sequence[Similarity | None], seed: int
) -> tuple[MatchedPoses, Float[Tensor, "views patches"]]:
    """Return where views stand by all their matches, and logarithms of the changes of depth."""
    count, longest = len(views.points), max(map(len, views.points))
    matches = views.matches(likely_pairs(views.patches))
    links = _links(views, matches, seed)
    nothing = MatchedPoses(
        Similarity.stack([_NOWHERE] * count),
        torch.zeros(count, dtype=torch.bool),
        torch.ones(count),
    )
    unchanged = torch.zeros(count, longest, dtype=torch.float64)
    if not links:
        return nothing, unchanged
    anchor = next((index for index, place in enumerate(start) if place is not None), None)
    if anchor is None:
        anchor = min(links, key=lambda link: link.sigma[0]).first
    placed = _placed(links, start, anchor, views.patches[anchor].depth.median())
    seen = _observations(matches, placed)
    if seen is None:
        return nothing, unchanged
    adjusted = _adjusted(views, placed, seen, anchor)
    left = (seen.weight * adjusted.weight).sum(dim=-1)
    support = torch.zeros(count, dtype=torch.float64)
    support.index_add_(0, seen.anchor, left).index_add_(0, seen.view, left)
    longer = adjusted.log_focal.exp().float()
    found = MatchedPoses(adjusted.world_from_view, support >= _MIN_INLIERS, longer)
    return found, adjusted.log_depth


def _adjusted(
    views: _Views, placed: Mapping[int, Similarity], seen: Observations, anchor: int
) -> Adjusted:
    """Return the views where their matches fit best, through one lens each or through several."""
    lenses = views.lenses
    causes = seen.weight.sum() / _MATCHES_PER_CAUSE
    points = _padded(views.points, max(map(len, views.points)))

    def adjusted(start: Similarity, own: Bool[Tensor, " views"]) -> Adjusted:
        found = adjust_views(
            start,
            points,
            views.intrinsics.double(),
            seen,
            sigma_px=_SIGMA * views.patches[0].side_px,
            sigma_log_depth=_SIGMA_LOG_DEPTH,
            focal_precision=_focal_precision(lenses, own, causes),
            fixed=anchor,
        )
        return replace(found, log_focal=_exactly_shared(found.log_focal, lenses, own))

    start = [placed.get(index, _NOWHERE) for index in range(len(lenses.lens))]
    through_one = adjusted(Similarity.stack(start), torch.zeros_like(lenses.known))
    shared = (lenses.lens == lenses.lens[:, None]).sum(dim=1) > 1
    doubtful = shared & ~lenses.sure & ~lenses.known
    if not doubtful.any():
        return through_one
    through_several = adjusted(through_one.world_from_view, doubtful)
    better = through_several.cost < _COST_OF_SEVERAL_LENSES * through_one.cost
    return through_several if better else through_one


def _focal_precision(
    lenses: Lenses, own: Bool[Tensor, " views"], causes: Float[Tensor, ""]
) -> Float[Tensor, "views views"]:
    """Return the inverse covariance of logarithms of focal lengths, infinite where one is known.

    Args:
        lenses: Which views look through one, whose focal length is not known exactly.
        own: Views that may yet have lenses of their own.
        causes: Errors of so many matches stand against what is believed.
    """
    same = (lenses.lens == lenses.lens[:, None]).double()
    covariance = _SIGMA_LOG_FOCAL**2 * same + torch.diag(_SIGMA_SEVERAL_LENSES**2 * own)
    covariance = covariance / causes + torch.diag(torch.full_like(same[0], _SIGMA_SAME_LENS**2))
    known = torch.diag(torch.full_like(same[0], torch.inf).where(lenses.known, 0))
    return torch.linalg.inv(covariance) + known


def _exactly_shared(
    log_focal: Float[Tensor, " views"], lenses: Lenses, own: Bool[Tensor, " views"]
) -> Float[Tensor, " views"]:
    """Return the same without differences from rounding: who exports them looks for equal ones."""
    equal = log_focal.clone()
    for lens in lenses.lens[~own].unique():
        views = (lenses.lens == lens) & ~own
        equal[views] = log_focal[views].mean()
    return equal


def _with_others(
    views: _Views,
    keys: Mapping[int, int],
    placed: MatchedPoses,
    deeper: Float[Tensor, "keys patches"],
    seed: int,
) -> MatchedPoses:
    """Return where all views stand, those that are no keys each by the key that tells it best.

    Args:
        views: All of them.
        keys: Some of them, each with its number in what follows.
        placed: Where the keys stand.
        deeper: Logarithms of the changes of depth of their patches.
        seed: Of the sampling.
    """
    tied = [key for key, place in keys.items() if placed.tied[place]]
    longer = _of_all_views(placed.longer[placed.tied], tied, views.lenses)
    intrinsics = views.intrinsics.clone()
    intrinsics[:, :2, :2] *= longer[:, None, None]
    views = _Views.through(views.patches, intrinsics, views.lenses)
    points = list(views.points)
    for key, place in keys.items():
        points[key] = points[key] * deeper[place, : len(points[key]), None].exp()
    views, count = replace(views, points=points), len(points)
    others = [view for view in range(count) if view not in keys] if tied else []
    near = most_alike(views.some(others).patches, views.some(tied).patches)
    pairs = [(tied[k], view) for view, each in zip(others, near, strict=True) for k in each]
    matches = {pair: found for pair, found in views.matches(pairs).items() if pair[0] in keys}
    best: dict[int, _Link] = {}
    for link in _links(views, matches, seed):
        if link.second not in best or link.sigma < best[link.second].sigma:
            best[link.second] = link
    found = {key: placed.world_from_view[place] for key, place in keys.items()}
    for view, link in best.items():
        found[view] = found[link.first] @ link.first_from_second
    ties = torch.zeros(count, dtype=torch.bool)
    ties[[*tied, *best]] = True
    where = [found.get(view, _NOWHERE) for view in range(count)]
    return MatchedPoses(Similarity.stack(where), ties, longer)


def _of_all_views(
    longer: Float[Tensor, " some"], views: Sequence[int], lenses: Lenses
) -> Float[Tensor, " views"]:
    """Return factors of focal lengths: other views have what is usual through the same lens."""
    factors = torch.ones(len(lenses.lens))
    for lens in lenses.lens[list(views)].unique():
        factors[lenses.lens == lens] = longer[lenses.lens[list(views)] == lens].median().float()
    factors[list(views)] = longer.float()
    return factors


def _links(views: _Views, matches: Mapping[Pair, ViewMatches], seed: int) -> list[_Link]:
    """Return how pairs of views lie to each other; those without a pose that fits are left out."""
    if not matches:
        return []
    longest = max(len(found.patch) for found in matches.values())
    estimate = solve_poses(
        _padded([views.points[a][found.patch] for (a, _), found in matches.items()], longest),
        _padded([found.pixel for found in matches.values()], longest),
        views.intrinsics[[second for _, second in matches]],
        confidence=_padded([found.probability for found in matches.values()], longest),
        max_reprojection_px=_MAX_REPROJECTION * views.patches[0].side_px,
        min_inlier_ratio=_MIN_INLIER_RATIO,
        seed=seed,
    )
    found = zip(matches.items(), estimate.world_from_camera, estimate.registered, strict=True)
    links = [
        _link(views, pair, each, pose.double())
        for (pair, each), pose, registered in found
        if registered
    ]
    return [link for link in links if link is not None]


def _link(
    views: _Views, pair: Pair, matches: ViewMatches, first_from_second: Float[Tensor, "4 4"]
) -> _Link | None:
    """Return the link of a pair by the pose of its second camera; None with too few matches."""
    first, second = pair
    seen, side_px = views.points[first][matches.patch], views.patches[second].side_px
    intrinsics = views.intrinsics[second].double()
    pixel, depth = project(seen, intrinsics, invert_rigid(first_from_second))
    error = torch.linalg.vector_norm(pixel - matches.pixel, dim=-1)
    fits = (error < _MAX_REPROJECTION * side_px) & (depth > 0)
    inliers, every = matches.probability[fits].sum().item(), matches.probability.sum().item()
    quality = inliers * inliers / every
    if quality < _MIN_QUALITY:
        return None
    scale = (depth / views.patches[second].depth[matches.other])[fits].median()
    shared = seen[fits]
    extent = shared.std(dim=0).norm() + 1e-3 * shared[:, 2].mean()
    relative = Similarity(scale, first_from_second[:3, :3], first_from_second[:3, 3])
    sigma = _SIGMA_OF_LINK + _SIGMA_AT_QUALITY / quality
    spread = (sigma,) * 3 + (2 * sigma,) * 3 + (3 * sigma,)
    return _Link(*pair, relative, _joint(shared.mean(dim=0), extent), spread)


def _placed(
    links: Sequence[_Link],
    start: Sequence[Similarity | None],
    anchor: int,
    distance: Float[Tensor, ""],
) -> dict[int, Similarity]:
    """Return the views where the links that agree have them; those that no link leads to are left.

    Args:
        links: By matches.
        start: By pointmaps.
        anchor: This view stays where it is.
        distance: Typical one of what it sees, in its unit.
    """
    world_from_anchor = start[anchor] or Similarity.identity()

    def from_anchor(view: int, place: Similarity) -> _Link:
        ahead = _joint(F.pad(distance[None], (2, 0)), distance / 2)
        return _Link(anchor, view, world_from_anchor.inverse() @ place, ahead, _SIGMA_OF_POINTMAPS)

    by_pointmaps = {
        view: from_anchor(view, place)
        for view, place in enumerate(start)
        if place is not None and view != anchor
    }
    order = [anchor, *(view for view in range(len(start)) if view != anchor)]
    trusted = _graph_links([*by_pointmaps.values(), *links], order, doubted=0)
    anchor_from_view = follow_links(trusted, len(order))
    placed = {
        view: world_from_anchor @ anchor_from_view[place]
        for place, view in enumerate(order)
        if anchor_from_view.scale[place].isfinite()
    }
    for view, place in placed.items():
        if view != anchor:
            by_pointmaps.setdefault(view, from_anchor(view, place))
    inside = [link for link in links if link.first in placed]
    if len(placed) == 1:
        return placed
    graph = solve_pose_graph(
        Similarity.stack(list(placed.values())),
        _graph_links([*by_pointmaps.values(), *inside], list(placed), doubted=len(inside)),
    )
    return {view: graph.world_from_node[place] for place, view in enumerate(placed)}


def _graph_links(links: Sequence[_Link], order: Sequence[int], *, doubted: int) -> Links:
    """Return links between views as those of nodes in an order; so many of the last are doubted."""
    node = {view: place for place, view in enumerate(order)}
    joint = Similarity.stack([link.joint for link in links])
    between = Similarity.stack([link.first_from_second for link in links])
    return Links(
        first=torch.tensor([node[link.first] for link in links]),
        second=torch.tensor([node[link.second] for link in links]),
        first_from_joint=joint,
        second_from_joint=between.inverse() @ joint,
        sigma=torch.tensor([link.sigma for link in links], dtype=torch.float64),
        doubted=torch.arange(len(links)) >= len(links) - doubted,
    )


def _joint(centre: Float[Tensor, "3"], extent: Float[Tensor, ""]) -> Similarity:
    return Similarity(extent, torch.eye(3, dtype=torch.float64), centre)


def _observations(
    matches: Mapping[Pair, ViewMatches], placed: Mapping[int, Similarity]
) -> Observations | None:
    """Return the matches between views that have a place; None where there are none."""
    inside = {pair: found for pair, found in matches.items() if placed.keys() >= set(pair)}
    if not inside:
        return None
    longest = max(len(found.patch) for found in inside.values())
    anchor, view = torch.tensor(list(inside)).T
    return Observations(
        anchor,
        view,
        point=_padded([found.patch for found in inside.values()], longest),
        pixel=_padded([found.pixel for found in inside.values()], longest),
        weight=_padded([found.probability for found in inside.values()], longest),
    )


def _padded(parts: Sequence[Tensor], length: int) -> Tensor:
    """Return tensors of different lengths as one, with zeros behind."""
    padded = parts[0].new_zeros(len(parts), length, *parts[0].shape[1:])
    for row, part in zip(padded, parts, strict=True):
        row[: len(part)] = part
    return padded
