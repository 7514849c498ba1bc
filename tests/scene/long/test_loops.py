import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fast3r.scene.long.chunking import chunks_in_order
from fast3r.scene.long.loops import LoopCandidate, loop_candidates

CHUNKS = chunks_in_order(200, chunk_views=30, overlap=10)
LINKED = [(i, i + 1) for i in range(len(CHUNKS) - 1)]


def at_places(places: Tensor) -> Tensor:
    """Descriptors of places on a line."""
    return normalize(
        torch.exp(-((places[:, None] - torch.arange(0, 1, 0.02)) / 0.03).square()), dim=1
    )


def round_trip() -> Tensor:
    """Out and back on the same way."""
    return at_places(1 - (torch.linspace(-1, 1, 200)).abs())


def found(descriptors: Tensor) -> list[LoopCandidate]:
    return loop_candidates(descriptors, CHUNKS, LINKED, views_per_end=8)


def test_a_way_that_never_comes_back_has_no_loops() -> None:
    assert found(at_places(torch.linspace(0, 1, 200))) == []


def test_the_ends_of_a_loop_are_at_the_same_place() -> None:
    loops = found(round_trip())
    assert loops
    for loop in loops:
        out, back = (sum(views) / len(views) for views in (loop.first_views, loop.second_views))
        assert math.isclose(out, 199 - back, abs_tol=6)


def test_neighbours_are_no_loops() -> None:
    assert all(loop.second - loop.first >= 3 for loop in found(round_trip()))


def test_a_loop_is_looked_at_once() -> None:
    loops = found(round_trip())
    for index, loop in enumerate(loops):
        for other in loops[:index]:
            assert abs(loop.first - other.first) > 1 or abs(loop.second - other.second) > 1


def test_as_many_views_of_each_end_are_looked_at_as_asked_for() -> None:
    for loop in found(round_trip()):
        assert len(loop.first_views) == len(loop.second_views) == 8
        assert set(loop.first_views) <= set(CHUNKS[loop.first].views)
        assert set(loop.second_views) <= set(CHUNKS[loop.second].views)
