import numpy as np
import pytest

from fast3r.data.sampling import draw_connected, draw_window


def _dice(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _path(length: int) -> dict[int, list[int]]:
    """A graph in which each frame overlaps with the one before it and the one after it."""
    return {i: [j for j in (i - 1, i + 1) if 0 <= j < length] for i in range(length)}


@pytest.mark.parametrize("seed", range(5))
def test_a_window_gives_distinct_frames_close_to_each_other(seed: int) -> None:
    drawn = draw_window(100, 6, _dice(seed), window=12)
    assert len(set(drawn)) == 6
    assert max(drawn) - min(drawn) < 12
    assert min(drawn) >= 0
    assert max(drawn) < 100


def test_windows_reach_every_frame_of_a_sequence_as_first_view() -> None:
    dice = _dice()
    assert {draw_window(9, 3, dice, window=4)[0] for _ in range(300)} == set(range(9))


def test_a_window_that_is_too_short_for_the_views_is_widened() -> None:
    assert sorted(draw_window(20, 20, _dice(), window=3)) == list(range(20))


def test_a_sequence_shorter_than_the_window_is_drawn_from_as_a_whole() -> None:
    dice = _dice()
    assert {frame for _ in range(50) for frame in draw_window(4, 2, dice, window=9)} == set(
        range(4)
    )


def test_frames_of_a_short_sequence_repeat_evenly() -> None:
    drawn = draw_window(3, 8, _dice(), window=8)
    assert sorted(np.bincount(drawn)) == [2, 3, 3]


def test_equal_dice_draw_equal_frames_and_other_dice_other_ones() -> None:
    first, again, other = (draw_window(1000, 5, _dice(seed), window=50) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    walks = [draw_connected(_path(100), 5, _dice(seed)) for seed in (1, 1, 2)]
    assert walks[0] == walks[1]
    assert walks[0] != walks[2]


@pytest.mark.parametrize("seed", range(5))
def test_connected_frames_are_one_piece_of_the_graph(seed: int) -> None:
    drawn = draw_connected(_path(50), 7, _dice(seed))
    assert len(drawn) == 7
    assert sorted(drawn) == list(range(min(drawn), min(drawn) + 7))


def test_connected_frames_come_from_the_piece_that_is_large_enough() -> None:
    graph = {"a": ["b"], "b": ["a"], "x": ["y"], "y": ["x", "z"], "z": ["y"], "alone": []}
    for seed in range(10):
        assert set(draw_connected(graph, 3, _dice(seed))) == {"x", "y", "z"}


def test_every_frame_of_a_large_piece_can_be_the_first_view() -> None:
    dice = _dice()
    assert {draw_connected(_path(6), 3, dice)[0] for _ in range(200)} == set(range(6))


def test_frames_of_a_small_graph_repeat_and_all_appear() -> None:
    drawn = draw_connected(_path(3), 7, _dice())
    assert sorted(np.bincount(drawn)) == [2, 2, 3]


def test_a_neighbour_that_is_no_key_is_never_drawn() -> None:
    graph = {0: [1, 99], 1: [0, 99]}
    assert 99 not in draw_connected(graph, 6, _dice())


def test_one_way_overlaps_are_followed_from_where_they_lead_on() -> None:
    graph: dict[int, list[int]] = {0: [1], 1: [2], 2: []}
    for seed in range(10):
        assert set(draw_connected(graph, 3, _dice(seed))) == {0, 1, 2}
