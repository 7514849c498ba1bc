import math

import pytest
import torch
from torch import Tensor

from fast3r.geometry.pose_graph import Links, follow_links, solve_pose_graph
from fast3r.geometry.transforms import Similarity, rotation_angle_deg, rotation_exp
from tests.geometry.synthetic import random_similarity

SIGMA = torch.tensor([0.01, 0.01, 0.01, 0.02, 0.02, 0.02, 0.01], dtype=torch.float64)


def ring(count: int) -> Similarity:
    """Frames around a circle, each with a scale of its own; the first is the identity."""
    generator = torch.Generator().manual_seed(5)
    angle = torch.arange(count).double() * 2 * math.pi / count
    turn = torch.stack((torch.zeros(count), angle, torch.zeros(count)), dim=-1)
    place = 10 * torch.stack((angle.cos() - 1, 0.1 * (3 * angle).sin(), angle.sin()), dim=-1)
    scale = (0.3 * torch.randn(count, generator=generator).double()).exp()
    frames = Similarity(scale, rotation_exp(turn), place)
    start = frames[0].inverse()
    return Similarity(*(part.expand(count, *part.shape) for part in vars(start).values())) @ frames


def noise(count: int, generator: torch.Generator, size: float = 1.0) -> Similarity:
    moves = size * SIGMA * torch.randn(count, 7, generator=generator).double()
    return Similarity(moves[:, 6].exp(), rotation_exp(moves[:, :3]), moves[:, 3:6])


def links_between(
    truth: Similarity, pairs: list[tuple[int, int]], *, size: float = 0.0, doubted: int = 0
) -> Links:
    """Links of true nodes with noise; the last few are doubted. Joints are midway, of some unit."""
    generator = torch.Generator().manual_seed(1)
    first, second = torch.tensor(pairs).T
    joint = random_similarity(generator, len(pairs), dtype=torch.float64)
    world_from_joint = Similarity(
        joint.scale, joint.rotation, joint.translation + truth.translation[first]
    )
    is_doubted = torch.zeros(len(pairs), dtype=torch.bool)
    is_doubted[len(pairs) - doubted :] = True
    return Links(
        first,
        second,
        truth[first].inverse() @ world_from_joint,
        truth[second].inverse() @ world_from_joint @ noise(len(pairs), generator, size),
        SIGMA.expand(len(pairs), 7),
        is_doubted,
    )


def chain(count: int) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(count - 1)]


def place_error(found: Similarity, truth: Similarity) -> Tensor:
    return (found.translation - truth.translation).norm(dim=-1)


def assert_same(found: Similarity, truth: Similarity, tolerance: float = 1e-6) -> None:
    for a, b in zip(vars(found).values(), vars(truth).values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


def test_following_exact_links_finds_every_node() -> None:
    truth = ring(12)
    assert_same(follow_links(links_between(truth, chain(12)), 12), truth)


def test_links_are_followed_in_both_directions() -> None:
    truth = ring(6)
    backwards = [(second, first) for first, second in chain(6)]
    assert_same(follow_links(links_between(truth, backwards), 6), truth)


def test_surer_links_are_followed() -> None:
    truth = ring(3)
    links = links_between(truth, [(0, 2), (0, 1), (1, 2)], size=1.0)
    links.sigma.data = links.sigma.clone()
    links.sigma[0] *= 10
    unsure = follow_links(links, 3)
    chained = follow_links(links_between(truth, [(0, 2), (0, 1), (1, 2)], size=1.0), 3)
    assert not torch.equal(unsure.translation[2], chained.translation[2])


def test_doubted_links_are_not_followed() -> None:
    links = links_between(ring(3), [(0, 1), (1, 2)], doubted=1)
    assert follow_links(links, 3).scale.isnan().tolist() == [False, False, True]


def test_nodes_that_are_right_stay() -> None:
    truth = ring(9)
    found = solve_pose_graph(truth, links_between(truth, [*chain(9), (8, 0)]))
    assert_same(found.world_from_node, truth)
    assert found.error.max() < 1e-6


@pytest.mark.parametrize("size", [0.1, 1.0])
def test_exact_links_pull_wrong_nodes_into_place(size: float) -> None:
    truth = ring(9)
    off = noise(9, torch.Generator().manual_seed(2), 20 * size)
    start = Similarity.stack([truth[0], *((truth @ off)[i] for i in range(1, 9))])
    found = solve_pose_graph(start, links_between(truth, [*chain(9), (8, 0)]))
    assert_same(found.world_from_node, truth, 1e-5)


def test_the_first_node_stays() -> None:
    truth = ring(5)
    found = solve_pose_graph(truth, links_between(truth, [*chain(5), (4, 0)], size=3.0))
    assert_same(found.world_from_node[0], truth[0], 0)


def test_cost_is_least_where_the_solver_stops() -> None:
    truth = ring(7)
    links = links_between(truth, [*chain(7), (6, 0), (5, 2)], size=3.0)
    found = solve_pose_graph(truth, links)
    least = found.error.square().sum()
    for seed in range(20):
        off = noise(7, torch.Generator().manual_seed(seed), 1e-3)
        off.translation[0], off.scale[0], off.rotation[0] = torch.zeros(3), 1, torch.eye(3)
        # With one step from elsewhere the solver comes back to the same cost, never to a lower one.
        again = solve_pose_graph(found.world_from_node @ off, links)
        assert again.error.square().sum() >= least * (1 - 1e-6)


def test_closing_a_loop_cuts_the_drift() -> None:
    truth = ring(60)
    pairs = [*chain(60), (59, 0), (30, 1), (45, 15)]
    links = links_between(truth, pairs, size=2.0, doubted=3)
    open_ended = follow_links(links, 60)
    closed = solve_pose_graph(open_ended, links)
    assert closed.kept.all()
    drift = place_error(open_ended, truth).mean()
    assert place_error(closed.world_from_node, truth).mean() < drift / 3


@pytest.mark.parametrize("wrong", [1, 6, 12])
def test_wrong_loops_are_found_and_do_no_harm(wrong: int) -> None:
    truth = ring(60)
    right = [(59, 0), (30, 1), (45, 15), (50, 2)]
    generator = torch.Generator().manual_seed(wrong)
    false = [tuple(torch.randperm(60, generator=generator)[:2].tolist()) for _ in range(wrong)]
    links = links_between(truth, [*chain(60), *right, *false], size=1.0, doubted=4 + wrong)
    elsewhere = random_similarity(generator, wrong, dtype=torch.float64)
    moved = links.second_from_joint[torch.arange(-wrong, 0)] @ elsewhere
    for part, value in zip(
        vars(links.second_from_joint).values(), vars(moved).values(), strict=True
    ):
        part[-wrong:] = value
    found = solve_pose_graph(follow_links(links, 60), links)
    assert found.kept[:-wrong].all()
    assert not found.kept[-wrong:].any()
    assert place_error(found.world_from_node, truth).mean() < 0.5


def test_a_single_wrong_loop_leaves_the_chain_as_it_is() -> None:
    truth = ring(20)
    links = links_between(truth, [*chain(20), (19, 0)], size=1.0, doubted=1)
    links.second_from_joint.translation[-1] += 30
    chained = follow_links(links, 20)
    found = solve_pose_graph(chained, links)
    assert not found.kept[-1]
    assert_same(found.world_from_node, chained, 1e-4)


def test_a_change_of_scale_along_the_way_is_spread_over_the_loop() -> None:
    truth = ring(30)
    links = links_between(truth, [*chain(30), (29, 0)], doubted=1)
    growth = 1.01  # of each link
    links.second_from_joint.scale[:-1] *= growth
    open_ended = follow_links(links, 30)
    closed = solve_pose_graph(open_ended, links).world_from_node
    assert abs(math.log(open_ended.scale[29] / truth.scale[29])) > 0.25
    assert (closed.scale / truth.scale).log().abs().max() < 0.15


def test_joints_count_in_their_own_unit() -> None:
    """A node that is described in other units and from another origin ends at the same place."""
    truth = ring(8)
    links = links_between(truth, [*chain(8), (7, 0)], size=2.0)
    here = solve_pose_graph(truth, links).world_from_node
    other = random_similarity(torch.Generator().manual_seed(9), dtype=torch.float64)
    other = Similarity(other.scale * 50, other.rotation, other.translation * 300)
    nodes = [truth[i] for i in range(8)]
    nodes[3] = nodes[3] @ other.inverse()
    renamed = Similarity.stack(nodes)
    for end, frames in (
        (links.first, links.first_from_joint),
        (links.second, links.second_from_joint),
    ):
        for link in (end == 3).nonzero()[:, 0].tolist():
            moved = other @ frames[link]
            for part, value in zip(vars(frames).values(), vars(moved).values(), strict=True):
                part[link] = value
    there = solve_pose_graph(renamed, links).world_from_node
    back = there[3] @ other
    torch.testing.assert_close(back.translation, here.translation[3], rtol=0, atol=1e-4)
    assert rotation_angle_deg(back.rotation, here.rotation[3]) < 1e-3


def test_a_thousand_nodes_are_solved_in_seconds() -> None:
    truth = ring(1000)
    links = links_between(truth, [*chain(1000), (999, 0), (700, 200)], size=0.3, doubted=2)
    open_ended = follow_links(links, 1000)
    closed = solve_pose_graph(open_ended, links)
    assert place_error(closed.world_from_node, truth).mean() < place_error(open_ended, truth).mean()


def test_nodes_tied_by_doubt_alone_are_refused() -> None:
    truth = ring(4)
    links = links_between(truth, [(0, 1), (1, 2), (2, 3)], doubted=1)
    with pytest.raises(ValueError, match="1 of 4 nodes are tied to the first by no undoubted link"):
        solve_pose_graph(truth, links)
