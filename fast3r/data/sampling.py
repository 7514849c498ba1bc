"""Which frames of a scene are seen together: draws from a sequence and from a graph of overlaps.

Every draw takes its dice as an argument: equal dice draw equal frames. The first frame drawn is
the reference view, and any frame can be it.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

_Frame = TypeVar("_Frame", bound=Hashable)


def draw_window(count: int, views: int, dice: np.random.Generator, *, window: int) -> list[int]:
    """Return the places of `views` frames of a sequence that were taken close in time.

    They are distinct, in random order, from a random stretch of `window` consecutive frames:
    shorter where the sequence is, longer where `views` are more. Only where the sequence itself
    has fewer frames than `views` do they repeat, each frame as often as any other or once more.
    """
    assert count > 0
    assert views > 0
    length = min(max(window, views), count)
    start = int(dice.integers(count - length + 1))
    return [start + place for place in _deal(range(length), views, dice)]


def draw_connected(
    neighbours: Mapping[_Frame, Sequence[_Frame]], views: int, dice: np.random.Generator
) -> list[_Frame]:
    """Return `views` frames that overlap, directly or through others among them.

    They grow from a random frame by random neighbours, and are in random order. They are
    distinct if any frame has enough others in reach; else they are the most that can be had,
    and repeat.

    Args:
        neighbours: The frames that each frame overlaps with. One that is not a key itself is
            never drawn: leave out the keys of frames that cannot be used.
        views: How many to draw.
        dice: Source of randomness.
    """
    assert neighbours
    assert views > 0
    frames = list(neighbours)
    best: list[_Frame] = []
    tried: set[_Frame] = set()
    for start in dice.permutation(len(frames)).tolist():
        if frames[start] in tried:
            continue  # reached from an earlier start, which did not reach enough
        grown = _grow(frames[start], neighbours, views, dice)
        best = max(best, grown, key=len)
        if len(best) == views:
            break
        tried.update(grown)
    return _deal(best, views, dice)


def _grow(
    start: _Frame,
    neighbours: Mapping[_Frame, Sequence[_Frame]],
    views: int,
    dice: np.random.Generator,
) -> list[_Frame]:
    """Return up to `views` distinct frames, each a neighbour of one before it."""
    grown = [start]
    met = {start}
    frontier: list[_Frame] = []
    while len(grown) < views:
        for frame in neighbours[grown[-1]]:
            if frame not in met and frame in neighbours:
                met.add(frame)
                frontier.append(frame)
        if not frontier:
            break
        grown.append(frontier.pop(int(dice.integers(len(frontier)))))
    return grown


def _deal(frames: Sequence[_Frame], views: int, dice: np.random.Generator) -> list[_Frame]:
    """Return `views` frames in random order, as evenly often as can be."""
    order: list[int] = []
    while len(order) < views:
        order += dice.permutation(len(frames)).tolist()
    return [frames[place] for place in order[:views]]
