"""Chunks that may show the same place though they are far apart in the chain."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.scene.long.chunking import Chunk

# So many best pairs of views decide how alike two chunks are: one may be alike by chance.
_PAIRS = 3
# The ends of a loop should be as alike as the typical pair within a chunk.
_ALIKE_QUANTILE = 0.5
# Chunks that are so near along the links are no loop.
_MIN_HOPS = 3
# A loop next to another one tells little more.
_SAME_LOOP_HOPS = 1


@dataclass(frozen=True)
class LoopCandidate:
    """Two chunks to be looked at together."""

    first: int
    """Index of one chunk."""

    second: int
    """Index of the other."""

    first_views: tuple[int, ...]
    """Views of the first that are most like the second; indices in the whole set."""

    second_views: tuple[int, ...]
    """Views of the second that are most like the first."""


def loop_candidates(
    descriptors: Float[Tensor, "views channels"],
    chunks: Sequence[Chunk],
    linked: Collection[tuple[int, int]],
    *,
    views_per_end: int,
) -> list[LoopCandidate]:
    """Return pairs of chunks to be looked at, the most alike first; as many as chunks at most.

    Args:
        descriptors: Of length 1; the more alike two views are, the larger their product.
        chunks: All of them.
        linked: Pairs that are linked already.
        views_per_end: Views of each chunk to be looked at.
    """
    threshold = _typical_likeness(descriptors, chunks)
    hops = _hops(len(chunks), linked)
    ranked = []
    for first, chunk in enumerate(chunks):
        similar = descriptors[list(chunk.views)] @ descriptors.mT
        for second in range(first + 1, len(chunks)):
            if _MIN_HOPS <= hops[first][second] < len(chunks):
                block = similar[:, list(chunks[second].views)]
                best = block.flatten().topk(min(_PAIRS, block.numel())).values
                ranked.append((best.mean().item(), first, second))
    ranked.sort(reverse=True)
    chosen: list[LoopCandidate] = []
    for likeness, first, second in ranked:
        if likeness < threshold or len(chosen) == len(chunks):
            break
        if not any(_same_loop(hops, (first, second), (c.first, c.second)) for c in chosen):
            ends = _most_alike(descriptors, chunks[first], chunks[second], views_per_end)
            chosen.append(LoopCandidate(first, second, *ends))
    return chosen


def _typical_likeness(
    descriptors: Float[Tensor, "views channels"], chunks: Sequence[Chunk]
) -> float:
    """Return the median similarity of two views of one chunk."""
    medians = []
    for chunk in chunks:
        some = descriptors[list(chunk.views)]
        rows, columns = torch.triu_indices(len(some), len(some), 1)
        if len(rows):
            medians.append((some @ some.mT)[rows, columns].quantile(_ALIKE_QUANTILE).item())
    return sorted(medians)[len(medians) // 2] if medians else 1.0


def _hops(count: int, linked: Collection[tuple[int, int]]) -> list[list[int]]:
    """Return how many links lie between any two chunks; `count` where there is no way."""
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for a, b in linked:
        neighbours[a].add(b)
        neighbours[b].add(a)
    table = []
    for start in range(count):
        row = [count] * count
        row[start], border, distance = 0, {start}, 0
        while border:
            distance += 1
            border = {n for node in border for n in neighbours[node] if row[n] == count}
            for node in border:
                row[node] = distance
        table.append(row)
    return table


def _same_loop(hops: list[list[int]], a: tuple[int, int], b: tuple[int, int]) -> bool:
    def near(x: int, y: int) -> bool:
        return hops[x][y] <= _SAME_LOOP_HOPS

    return (near(a[0], b[0]) and near(a[1], b[1])) or (near(a[0], b[1]) and near(a[1], b[0]))


def _most_alike(
    descriptors: Float[Tensor, "views channels"], first: Chunk, second: Chunk, count: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the views of each of two chunks that are most like some view of the other."""
    similar = descriptors[list(first.views)] @ descriptors[list(second.views)].mT
    ends = []
    for chunk, best in ((first, similar.amax(dim=1)), (second, similar.amax(dim=0))):
        ranked = best.sort(descending=True, stable=True).indices[:count].tolist()
        ends.append(tuple(chunk.views[place] for place in sorted(ranked)))
    return ends[0], ends[1]
