"""Bundle adjustment of views that each know the shape of what they see, but not exactly.

A view holds points in its own frame and unit, such as those of a local pointmap. Other views have
seen some of them at certain pixels. Found are the poses, the unit of each view, the focal lengths
that are not known, and by how much each point is nearer or farther than its view believes, where
the robust sum of squared reprojection errors and of those changes is least. Depths stay near what
is believed, so a pair of views with hardly any parallax, which plain bundle adjustment cannot hold,
is held here.

Points depend on no other points, and are eliminated first (Schur complement); what is left is a
small dense system of the views. Errors count by the kernel of Geman and McClure, wide at first
(graduated non-convexity; Yang, Antonante, Tzoumas and Carlone, 2020).

Observations come by pairs of views, of which one holds the points and the other sees them. S is the
number of views that see points of one view, itself included.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fast3r.geometry.robust import geman_mcclure_weight
from fast3r.geometry.transforms import Similarity, rotation_exp

_DEVIATIONS = 3.0
"""Error, in standard deviations, at which a quarter of an observation's weight is left."""

_WIDENINGS = (4.0, 2.5, 1.6)
"""Of the kernel, before it has its own width."""
_STEPS = 6
_LAST_STEPS = 25
_MIN_GAIN = 1e-5
_MAX_LAST_DAMPING = 1e-5
"""Small gains do not tell that the bottom is near while steps are damped more than this."""
_MIN_DAMPING, _MAX_DAMPING = 1e-6, 1e6
_NEAREST = 1e-6
_MOVES, _UNIT, _FOCAL = 8, 6, 7
"""Of a view: a turn, a shift, the logarithm of its unit, and of its focal length."""
_BEHIND = 1e6
"""Squared error of a point behind the camera that saw it."""


@dataclass(frozen=True)
class Observations:
    """Points of some views, seen by others; points of weight 0 pad pairs that have fewer."""

    anchor: Int[Tensor, " pairs"]
    """The view that holds the points."""

    view: Int[Tensor, " pairs"]
    """Another view, that saw them; a pair comes once."""

    point: Int[Tensor, "pairs seen"]
    """Which of the points."""

    pixel: Float[Tensor, "pairs seen 2"]
    """Where."""

    weight: Float[Tensor, "pairs seen"]
    """How much each counts, in [0, 1]."""


@dataclass(frozen=True)
class Adjusted:
    """Views and points after adjustment."""

    world_from_view: Similarity
    """One per view, with the scale of its unit."""

    log_depth: Float[Tensor, "views points"]
    """By which factor each point is farther than its view believed, as a logarithm."""

    log_focal: Float[Tensor, " views"]
    """By which factor each focal length is longer than it was said to be, as a logarithm."""

    weight: Float[Tensor, "pairs seen"]
    """How much of each observation's weight is left, in [0, 1]: about 1 for those that fit."""

    cost: float
    """Sum of what is least: robust squares of errors in standard deviations, and the priors."""


class _State(NamedTuple):
    views: Similarity
    log_depth: Float[Tensor, "views points"]
    log_focal: Float[Tensor, " views"]


@dataclass(frozen=True)
class _Problem:
    points: Float[Tensor, "views points 3"]
    intrinsics: Float[Tensor, "views 3 3"]
    seen: Observations
    members: Int[Tensor, "views S"]
    """Views that see points of each view, itself first; V where there are fewer."""
    slot: Int[Tensor, " pairs"]
    """Where the view of each pair is among the members of its anchor."""
    sigma_log_depth: float
    focal_precision: Float[Tensor, "views views"]
    held: Bool[Tensor, "views 8"]
    """What does not change: the pose and unit of one view, and the known focal lengths."""


@torch.no_grad()
def adjust_views(
    world_from_view: Similarity,
    points: Float[Tensor, "views points 3"],
    intrinsics: Float[Tensor, "views 3 3"],
    seen: Observations,
    *,
    sigma_px: float,
    sigma_log_depth: float,
    focal_precision: Float[Tensor, "views views"] | None = None,
    fixed: int = 0,
) -> Adjusted:
    """Return the views where the observations fit best; all in float64 and on the CPU.

    Args:
        world_from_view: Where to start; most observations should land within some ten deviations.
        points: In the frame and unit of the view that holds them, in front of it.
        intrinsics: In the pixels of the observations.
        seen: Which points other views saw. Views in none of them stay where they are.
        sigma_px: Standard deviation of the pixels.
        sigma_log_depth: Of the logarithms of the depths.
        focal_precision: Inverse covariance of the logarithms of the focal lengths, infinite on the
            diagonal where one is known; None where all are.
        fixed: This view does not move, and keeps its unit.
    """
    members, slot = _members(seen, len(points))
    held = torch.zeros(len(points), _MOVES, dtype=torch.bool)
    held[fixed, :_FOCAL] = True
    if focal_precision is None:
        focal_precision = torch.diag(points.new_full((len(points),), torch.inf))
    known = focal_precision.diagonal().isinf()
    held[:, _FOCAL] = known
    precision = focal_precision.where(~(known | known[:, None]), 0)
    problem = _Problem(points, intrinsics, seen, members, slot, sigma_log_depth, precision, held)
    state = _State(world_from_view, torch.zeros_like(points[..., 0]), points.new_zeros(len(points)))
    for widening in _WIDENINGS:
        state = _least_squares(problem, state, sigma_px * widening, _STEPS)
    state = _least_squares(problem, state, sigma_px, _LAST_STEPS)
    there = _Seen.at(problem, state)
    left = _weight_left(there, sigma_px)
    return Adjusted(*state, left, _cost(problem, state, there, sigma_px))


def _members(
    seen: Observations, count: int
) -> tuple[Int[Tensor, "views S"], Int[Tensor, " pairs"]]:
    """Return `members` and `slot` of a problem."""
    order = seen.anchor.argsort(stable=True)
    number = seen.anchor.bincount(minlength=count)
    slot = torch.empty_like(order)
    slot[order] = torch.arange(len(order)) - (number.cumsum(0) - number)[seen.anchor[order]] + 1
    members = torch.full((count, int(number.max()) + 1), count)
    members[:, 0] = torch.arange(count)
    members[seen.anchor, slot] = seen.view
    return members, slot


def _least_squares(problem: _Problem, state: _State, sigma_px: float, steps: int) -> _State:
    """Return the state after Levenberg-Marquardt steps."""
    damping = 1e-3
    there = _Seen.at(problem, state)
    cost = _cost(problem, state, there, sigma_px)
    for _ in range(steps):
        system = _System(problem, state, there, sigma_px)
        for tried in _dampings(damping):
            damping = tried
            moved = system.moved(state, damping)
            seen = _Seen.at(problem, moved)
            moved_cost = _cost(problem, moved, seen, sigma_px)
            if moved_cost <= cost:
                break
        else:
            return state
        gained, cost = cost - moved_cost, moved_cost
        state, there = moved, seen
        damping = max(damping / 5, _MIN_DAMPING)
        if gained <= _MIN_GAIN * cost and damping < _MAX_LAST_DAMPING:
            break
    return state


def _dampings(first: float) -> Iterator[float]:
    while first < _MAX_DAMPING:
        yield first
        first *= 5


class _Seen(NamedTuple):
    """What the observing views see of the points."""

    own: Float[Tensor, "pairs seen 3"]
    """In the frame of the anchor, in world units."""
    turn: Float[Tensor, "pairs 3 3"]
    """From the frame of the anchor to that of the view."""
    point: Float[Tensor, "pairs seen 3"]
    """In the frame of the view, in world units."""
    focal: Float[Tensor, "pairs 2 2"]
    """Of the view."""
    from_centre: Float[Tensor, "pairs seen 2"]
    """Where it is, in pixels from the principal point."""
    error: Float[Tensor, "pairs seen 2"]
    """From where it was seen to where it is, in pixels."""

    @property
    def ahead(self) -> Bool[Tensor, "pairs seen"]:
        """Whether the point lies before the view at all."""
        return self.point[..., 2] > _NEAREST

    @classmethod
    def at(cls, problem: _Problem, state: _State) -> "_Seen":
        """Return what is seen when the views and points are like this."""
        seen, anchor = problem.seen, problem.seen.anchor[:, None]
        anchors, views = state.views[seen.anchor], state.views[seen.view]
        factor = anchors.scale[:, None] * state.log_depth[anchor, seen.point].exp()
        longer = state.log_focal.exp()[:, None, None]
        own = problem.points[anchor, seen.point] * factor[..., None]
        own = torch.cat((own[..., :2] / longer[seen.anchor], own[..., 2:]), dim=-1)
        turn = views.rotation.mT @ anchors.rotation
        shift = views.rotation.mT @ (anchors.translation - views.translation)[..., None]
        point = own @ turn.mT + shift.mT
        slope = point[..., :2] / point[..., 2:].clamp(min=_NEAREST)
        intrinsics = problem.intrinsics[seen.view]
        focal = intrinsics[:, :2, :2] * longer[seen.view]
        from_centre = slope @ focal.mT
        error = from_centre + intrinsics[:, None, :2, 2] - seen.pixel
        return cls(own, turn, point, focal, from_centre, error)


def _squared_errors(there: _Seen, sigma_px: float) -> Float[Tensor, "pairs seen"]:
    squared = there.error.square().sum(dim=-1) / sigma_px**2
    return squared.where(there.ahead, _BEHIND)


def _weight_left(there: _Seen, sigma_px: float) -> Float[Tensor, "pairs seen"]:
    """Return 0 for points behind the camera: small moves do not change what they cost."""
    squared = _squared_errors(there, sigma_px)
    left = geman_mcclure_weight(squared, squared.new_full((1, 1), _DEVIATIONS))
    return left.where(there.ahead, 0)


def _cost(problem: _Problem, state: _State, there: _Seen, sigma_px: float) -> float:
    squared = _squared_errors(there, sigma_px)
    robust = (problem.seen.weight * squared / (1 + squared / _DEVIATIONS**2)).sum()
    depths = (state.log_depth / problem.sigma_log_depth).square().sum()
    focals = state.log_focal @ problem.focal_precision @ state.log_focal
    return (robust + depths + focals).item()


class _System:
    """The normal equations of one step, the points still in them."""

    def __init__(self, problem: _Problem, state: _State, there: _Seen, sigma_px: float) -> None:
        self._problem = problem
        seen, slot = problem.seen, problem.slot
        count, members = problem.members.shape
        weight = seen.weight * _weight_left(there, sigma_px) / sigma_px**2
        jacobian = _jacobian(there)
        weighted = weight[..., None, None] * jacobian
        rows, weighted_rows = jacobian.flatten(1, 2), weighted.flatten(1, 2)
        product = rows.mT @ weighted_rows
        pull = -(weighted_rows.mT @ there.error.flatten(1)[..., None])[..., 0]
        across = (jacobian[..., _UNIT, None] * weighted).sum(dim=-2)

        blocks = weight.new_zeros(count, members, members, _MOVES, _MOVES)
        target = weight.new_zeros(count, members, _MOVES)
        coupling = weight.new_zeros(*state.log_depth.shape, members, _MOVES)
        anchor = seen.anchor[:, None]
        ends = ((torch.zeros_like(slot), slice(_MOVES)), (slot, slice(_MOVES, None)))
        for row, part in ends:
            target.index_put_((seen.anchor, row), pull[:, part], accumulate=True)
            place = (anchor, seen.point, row[:, None])
            coupling.index_put_(place, across[..., part], accumulate=True)
            for column, other in ends:
                block = product[:, part, other]
                blocks.index_put_((seen.anchor, row, column), block, accumulate=True)
        self._blocks = blocks.transpose(2, 3).reshape(count, _MOVES * members, _MOVES * members)
        self._target, self._coupling = target.flatten(1), coupling.flatten(2)

        prior = problem.sigma_log_depth**-2
        self._stiffness = torch.full_like(state.log_depth, prior)
        self._stiffness.index_put_((anchor, seen.point), across[..., _UNIT], accumulate=True)
        self._depth_target = -prior * state.log_depth
        nearer = -(weighted[..., _UNIT] * there.error).sum(dim=-1)
        self._depth_target.index_put_((anchor, seen.point), nearer, accumulate=True)

    def moved(self, state: _State, damping: float) -> _State:
        """Return the state after a damped step."""
        problem = self._problem
        stiffness = self._stiffness * (1 + damping)
        eased = self._coupling / stiffness[..., None]
        members = problem.members.shape[1]
        local = (self._blocks - self._coupling.mT @ eased).unflatten(2, (members, _MOVES))
        local = local.unflatten(1, (members, _MOVES)).transpose(2, 3)
        pull = self._target - (eased.mT @ self._depth_target[..., None])[..., 0]

        views = len(problem.points)
        whole = local.new_zeros(views + 1, views + 1, _MOVES, _MOVES)
        rows = problem.members[:, :, None].expand(-1, -1, members)
        whole.index_put_((rows, rows.mT), local, accumulate=True)
        whole[:-1, :-1, _FOCAL, _FOCAL] += problem.focal_precision
        target = self._summed(pull.unflatten(1, (members, _MOVES)))[:-1]
        target[:, _FOCAL] -= problem.focal_precision @ state.log_focal
        diagonal = damping * self._summed(
            self._blocks.diagonal(dim1=1, dim2=2).unflatten(1, (members, _MOVES))
        )
        matrix = whole[:-1, :-1].transpose(1, 2).reshape(target.numel(), -1)
        held = problem.held.flatten()
        matrix = matrix.where(~(held | held[:, None]), 0)
        matrix = matrix + torch.diag((diagonal[:-1].flatten() + _NEAREST).where(~held, 1))

        factor, failed = torch.linalg.cholesky_ex(matrix)
        if failed:
            return state._replace(log_depth=torch.full_like(state.log_depth, torch.nan))
        step = torch.cholesky_solve(target.flatten().where(~held, 0)[:, None], factor)
        step = F.pad(step.view_as(target), (0, 0, 0, 1))
        pulled = (self._coupling @ step[problem.members].flatten(1)[..., None])[..., 0]
        return _State(
            _moved(state.views, step[:-1]),
            state.log_depth + (self._depth_target - pulled) / stiffness,
            state.log_focal + step[:-1, _FOCAL],
        )

    def _summed(self, parts: Float[Tensor, "views S 8"]) -> Float[Tensor, "rows 8"]:
        """Return what all observations together say of each view, and of none at the end."""
        whole = parts.new_zeros(len(self._problem.points) + 1, _MOVES)
        return whole.index_add_(0, self._problem.members.flatten(), parts.flatten(0, 1))


def _moved(views: Similarity, step: Float[Tensor, "views 8"]) -> Similarity:
    shift = (views.rotation @ step[:, 3:6, None])[..., 0]
    return Similarity(
        views.scale * step[:, _UNIT].exp(),
        views.rotation @ rotation_exp(step[:, :3]),
        views.translation + shift,
    )


def _jacobian(there: _Seen) -> Float[Tensor, "pairs seen 2 16"]:
    """Return how pixels change when the view that holds a point moves, and the one that sees it.

    Each moves by a turn and a shift in its own frame, and by the logarithms of its unit and of its
    focal length.
    """
    x, y, z = there.point.unbind(-1)
    z = z.clamp(min=_NEAREST)
    zero = torch.zeros_like(z)
    by_ray = torch.stack((1 / z, zero, -x / z**2, zero, 1 / z, -y / z**2), dim=-1)
    by_point = there.focal[:, None] @ by_ray.unflatten(-1, (2, 3))
    by_own = by_point @ there.turn[:, None]
    own, point = there.own[..., None, :], there.point[..., None, :]
    parts = (
        torch.linalg.cross(own.expand_as(by_own), by_own),
        by_own,
        (by_own * own).sum(dim=-1, keepdim=True),
        -(by_own * own)[..., :2].sum(dim=-1, keepdim=True),
        torch.linalg.cross(by_point, point.expand_as(by_point)),
        -by_point,
        torch.zeros_like(by_own[..., :1]),
        there.from_centre[..., None],
    )
    return torch.cat(parts, dim=-1)
