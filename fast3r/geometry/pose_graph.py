"""Many frames brought into one world by what is known of pairs of them: a pose graph in Sim(3).

Each node is a frame with a scale of its own. A link says where one frame, the joint, lies in two
nodes; through both it has to lie at the same place of the world. What is left between the two is
counted in the joint's own unit and axes, so that neither the place of a node's origin nor its scale
weighs anything.

Some links may be doubted, such as loops that only look closed. Their errors count by the kernel of
Geman and McClure, which starts out convex and hardens step by step (graduated non-convexity; Yang,
Antonante, Tzoumas and Carlone, 2020), so that right ones find together against many wrong ones.
"""

import heapq
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fast3r.geometry.block_elimination import BlockElimination
from fast3r.geometry.transforms import Similarity, cross_matrix, rotation_exp, rotation_log

# Chi-square of 7 degrees of freedom stays below this 99 times in 100.
_GATE = 18.475
# By how much the kernel hardens from step to step, as in the paper.
_HARDENING = 1.4
_MAX_STEPS = 100
_MIN_DAMPING, _MAX_DAMPING = 1e-10, 1e10
# A step that gains less than this share of the cost is the last one.
_MIN_GAIN = 1e-10


@dataclass(frozen=True)
class Links:
    """What is known of pairs of nodes; all tensors are in float64 and on the CPU."""

    first: Int[Tensor, " links"]
    """Index of one node."""

    second: Int[Tensor, " links"]
    """Index of the other."""

    first_from_joint: Similarity
    """Where the joint lies in the first node, batched. Its origin should be where the two nodes
    meet, and its unit about as long as what they share."""

    second_from_joint: Similarity
    """Where it lies in the second node."""

    sigma: Float[Tensor, "links 7"]
    """Standard deviations: of the rotation vector in radians, of the place in units of the joint,
    and of the logarithm of the scale."""

    doubted: Bool[Tensor, " links"]
    """True for links that may be wrong."""


@dataclass(frozen=True)
class PoseGraph:
    """Nodes in one world, and what became of the links."""

    world_from_node: Similarity
    """One per node; the first is where it was."""

    kept: Bool[Tensor, " links"]
    """False for doubted links that the others contradict."""

    error: Float[Tensor, " links"]
    """What is left of each link, in standard deviations: the root mean square of its 7 numbers."""


@torch.no_grad()
def solve_pose_graph(world_from_node: Similarity, links: Links) -> PoseGraph:
    """Return the nodes where the squared errors of the links are least.

    Levenberg-Marquardt, with sparse steps: a chain of a thousand nodes with some loops takes a
    second.

    Args:
        world_from_node: Where to start, in float64: each node as the undoubted links would have it.
        links: They must tie all nodes to the first one, the undoubted ones alone.

    Raises:
        ValueError: Some node is tied to the others by nothing but doubt.
    """
    assert world_from_node.translation.dtype == torch.float64
    _check_tied(len(world_from_node.scale), links)
    ends = zip(links.first.tolist(), links.second.tolist(), strict=True)
    elimination = BlockElimination(len(world_from_node.scale), ends)
    weight = torch.ones(len(links.first), dtype=torch.float64)
    nodes = world_from_node
    if links.doubted.any():
        nodes, weight = _graduated(nodes, links, weight, elimination)
    nodes = _least_squares(nodes, links, weight, elimination)
    squared = _residual(nodes, links).square().sum(dim=-1)
    return PoseGraph(nodes, weight > 0, (squared / 7).sqrt())


def follow_links(links: Links, count: int) -> Similarity:
    """Return the nodes in the frame of the first one, along the surest undoubted links.

    Each node is reached by the path of the least sum of variances (Dijkstra, 1959); nodes that
    cannot be reached are nan.
    """
    frames = {0: Similarity.identity()}
    cost = links.sigma.square().sum(dim=-1).tolist()
    neighbours: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    ends = zip(links.first.tolist(), links.second.tolist(), links.doubted.tolist(), strict=True)
    for link, (first, second, doubted) in enumerate(ends):
        if not doubted:
            neighbours[first].append((second, link))
            neighbours[second].append((first, link))
    waiting = [(cost[link], 0, node, link) for node, link in neighbours[0]]
    heapq.heapify(waiting)
    while waiting:
        far, known, node, link = heapq.heappop(waiting)
        if node in frames:
            continue
        frames[node] = frames[known] @ _across(links, link, node)
        for beyond, onward in neighbours[node]:
            heapq.heappush(waiting, (far + cost[onward], node, beyond, onward))
    nan = torch.tensor(torch.nan, dtype=torch.float64)
    unknown = Similarity(nan, nan.expand(3, 3), nan.expand(3))
    return Similarity.stack([frames.get(node, unknown) for node in range(count)])


def _across(links: Links, link: int, node: int) -> Similarity:
    """Return where a node lies in the other node of a link."""
    first, second = links.first_from_joint[link], links.second_from_joint[link]
    if links.second[link] == node:
        return first @ second.inverse()
    return second @ first.inverse()


def _graduated(
    nodes: Similarity,
    links: Links,
    weight: Float[Tensor, " links"],
    elimination: BlockElimination,
) -> tuple[Similarity, Float[Tensor, " links"]]:
    """Return nodes and weights of 1 or 0 by a kernel that hardens until it is Geman-McClure's."""
    nodes = _least_squares(nodes, links, weight, elimination)
    squared = _residual(nodes, links).square().sum(dim=-1)
    convexity = max(2 * squared[links.doubted].max().item() / _GATE, 1.0)
    while True:
        wide = convexity * _GATE
        soft = (wide / (squared + wide)).square()
        weight = torch.where(links.doubted, soft, 1.0)
        nodes = _least_squares(nodes, links, weight, elimination, max_steps=3)
        squared = _residual(nodes, links).square().sum(dim=-1)
        if convexity == 1:
            break
        convexity = max(convexity / _HARDENING, 1.0)
    return nodes, torch.where(links.doubted & (squared > _GATE), 0.0, 1.0).double()


def _least_squares(
    nodes: Similarity,
    links: Links,
    weight: Float[Tensor, " links"],
    elimination: BlockElimination,
    *,
    max_steps: int = _MAX_STEPS,
) -> Similarity:
    damping = 1e-6
    cost = _cost(nodes, links, weight)
    for _ in range(max_steps):
        system = _Normal(nodes, links, weight, elimination)
        moved, moved_cost = nodes, torch.inf
        while damping < _MAX_DAMPING:
            moved = _moved(nodes, system.solve(damping))
            moved_cost = _cost(moved, links, weight)
            if moved_cost <= cost:
                break
            damping *= 10
        if not moved_cost <= cost:
            break
        damping = max(damping / 10, _MIN_DAMPING)
        nodes, gained, cost = moved, cost - moved_cost, moved_cost
        if gained <= _MIN_GAIN * cost + 1e-20:
            break
    return nodes


def _cost(nodes: Similarity, links: Links, weight: Float[Tensor, " links"]) -> float:
    return (weight * _residual(nodes, links).square().sum(dim=-1)).sum().item()


def _gap(nodes: Similarity, links: Links) -> Similarity:
    """Return what lies between the two places of each joint."""
    first = nodes[links.first] @ links.first_from_joint
    second = nodes[links.second] @ links.second_from_joint
    return first.inverse() @ second


def _residual(nodes: Similarity, links: Links) -> Float[Tensor, "links 7"]:
    """Return the gaps in standard deviations."""
    gap = _gap(nodes, links)
    parts = (rotation_log(gap.rotation), gap.translation, gap.scale.log()[:, None])
    return torch.cat(parts, dim=-1) / links.sigma


class _Normal:
    """The normal equations of one step: how residuals change when nodes move in their own frames.

    A move is a rotation vector, a shift and the logarithm of a factor, applied before the node.
    """

    def __init__(
        self,
        nodes: Similarity,
        links: Links,
        weight: Float[Tensor, " links"],
        elimination: BlockElimination,
    ) -> None:
        self._elimination = elimination
        first, second = nodes[links.first], nodes[links.second]
        turn = _log_turn(_gap(nodes, links).rotation)
        root = weight.sqrt()[:, None]
        scale = (root / links.sigma)[..., None]
        joint, joint_from_first = links.second_from_joint, links.first_from_joint.inverse()
        joint_from_second = (first @ links.first_from_joint).inverse() @ second
        # Moving the first node is moving all behind it the other way.
        by_first = -_by_move(first.inverse() @ second @ joint, joint_from_first, turn) * scale
        by_second = _by_move(joint, joint_from_second, turn) * scale
        # The first node does not move.
        by_first[links.first == 0] = 0
        by_second[links.second == 0] = 0
        residual = root * _residual(nodes, links)
        self._target = nodes.scale.new_zeros(len(nodes.scale), 7)
        self._diagonal = nodes.scale.new_zeros(len(nodes.scale), 7, 7)
        for end, jacobian in ((links.first, by_first), (links.second, by_second)):
            self._target.index_add_(0, end, -(jacobian.mT @ residual[..., None])[..., 0])
            self._diagonal.index_add_(0, end, jacobian.mT @ jacobian)
        self._couplings = nodes.scale.new_zeros(elimination.num_slots, 7, 7)
        there = elimination.slots(links.first, links.second)
        back = elimination.slots(links.second, links.first)
        self._couplings.index_add_(0, there, by_first.mT @ by_second)
        self._couplings.index_add_(0, back, by_second.mT @ by_first)

    def solve(self, damping: float) -> Float[Tensor, "nodes 7"]:
        """Return the move of each node."""
        scaling = torch.diagonal(self._diagonal, dim1=-2, dim2=-1)
        diagonal = self._diagonal + torch.diag_embed(damping * scaling)
        diagonal[0] += torch.eye(7, dtype=diagonal.dtype)
        return self._elimination.solve(diagonal, self._couplings, self._target)


def _log_turn(gap: Float[Tensor, "links 3 3"]) -> Float[Tensor, "links 3 3"]:
    """Return how the rotation vector of each gap changes when the gap turns in its own frame.

    The inverse of the right Jacobian of SO(3) (Chirikjian, 2012, equation 10.86).
    """
    vector = rotation_log(gap)
    angle = torch.linalg.vector_norm(vector, dim=-1)[:, None, None]
    near = angle < 1e-4
    safe = angle.where(~near, 1.0)
    factor = 1 / safe.square() - (1 + safe.cos()) / (2 * safe * safe.sin())
    cross = cross_matrix(vector)
    eye = torch.eye(3, dtype=cross.dtype)
    return eye + cross / 2 + factor.where(~near, 1 / 12) * (cross @ cross)


def _by_move(
    joint: Similarity, target_from_node: Similarity, turn: Float[Tensor, "links 3 3"]
) -> Float[Tensor, "links 7 7"]:
    """Return how gaps change when the node before the second place of their joints moves.

    Args:
        joint: Where that place lies in the node.
        target_from_node: To the frame in which the gap is told, that of the first place.
        turn: From `_log_turn`.
    """
    linear = target_from_node.scale[:, None, None] * target_from_node.rotation
    jacobian = linear.new_zeros(len(linear), 7, 7)
    jacobian[:, :3, :3] = turn @ joint.rotation.mT
    jacobian[:, 3:6, :3] = -linear @ cross_matrix(joint.translation)
    jacobian[:, 3:6, 3:6] = linear
    jacobian[:, 3:6, 6] = (linear @ joint.translation[..., None])[..., 0]
    jacobian[:, 6, 6] = 1
    return jacobian


def _moved(nodes: Similarity, moves: Float[Tensor, "nodes 7"]) -> Similarity:
    return nodes @ Similarity(moves[:, 6].exp(), rotation_exp(moves[:, :3]), moves[:, 3:6])


def _check_tied(count: int, links: Links) -> None:
    reached = follow_links(links, count).scale.isfinite()
    if not reached.all():
        lost = (~reached).nonzero()[:, 0].tolist()
        raise ValueError(
            f"{len(lost)} of {count} nodes are tied to the first by no undoubted link, "
            f"such as node {lost[0]}; leave them out"
        )
