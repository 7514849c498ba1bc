"""Which views go through the network together: chunks that overlap, by order or by similarity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

Order = Literal["auto", "given", "similarity"]

# Of the views of a video this share is most similar to a view that comes a little before or after;
# among photos in random order it is the share that chance gives.
_ORDERED_SHARE = 0.5


@dataclass(frozen=True)
class Chunk:
    """Views of one pass."""

    views: tuple[int, ...]
    """Their indices; the frame of the first is the chunk's world."""

    weights: tuple[float, ...]
    """How much the chunk is to be trusted about each; at the ends of a stretch it is trusted less
    than in the middle."""


@dataclass(frozen=True)
class Plan:
    """How a set of views is cut."""

    order: Literal["given", "similarity"]
    """What the chunks follow."""

    chunks: list[Chunk]
    """They cover all views, and each shares views with an earlier one."""

    chunk_views: int
    """Views in a chunk, at most."""

    overlap: int
    """Views that a chunk has in common with one before it, at least."""


def check_chunking(chunk_views: int, overlap: int, order: str) -> None:
    """Refuse chunks that cannot be joined.

    Raises:
        ValueError: Two neighbours share fewer than 2 views or more than half of them, or the order
            is unknown.
    """
    if order not in get_args(Order):
        raise ValueError(f"order must be auto, given or similarity, got {order!r}")
    if overlap < 2:
        raise ValueError(
            f"overlap must be at least 2 views, as from one alone nothing vouches for how two "
            f"chunks lie to each other, got {overlap}"
        )
    if chunk_views < 2 * overlap:
        raise ValueError(
            f"chunk_views must be at least twice the overlap of {overlap} views, got {chunk_views}"
        )


def chunks_of(
    descriptors: Float[Tensor, "views channels"], *, chunk_views: int, overlap: int, order: Order
) -> Plan:
    """Return chunks that cover all views.

    Args:
        descriptors: Of length 1; the more alike two views are, the larger their product.
        chunk_views: Views in a chunk, at most.
        overlap: Views that a chunk has in common with one before it, at least.
        order: "given" for a video or a walk; "similarity" for photos in no order; "auto" finds out.
    """
    if order == "auto":
        order = "given" if is_ordered(descriptors, reach=overlap) else "similarity"
    if order == "given" or len(descriptors) <= chunk_views:
        chunks = chunks_in_order(len(descriptors), chunk_views=chunk_views, overlap=overlap)
        return Plan("given", chunks, chunk_views, overlap)
    chunks = chunks_by_similarity(descriptors, chunk_views=chunk_views, overlap=overlap)
    return Plan(order, chunks, chunk_views, overlap)


def is_ordered(descriptors: Float[Tensor, "views channels"], *, reach: int) -> bool:
    """Tell whether views that follow each other show the same, as in a video or on a walk."""
    count = len(descriptors)
    if count <= 2 * reach + 1:
        return True
    near = 0
    for start in range(0, count, 256):
        rows = torch.arange(start, min(start + 256, count))
        similar = descriptors[rows] @ descriptors.mT
        similar[torch.arange(len(rows)), rows] = -torch.inf
        near += int(((similar.argmax(dim=1) - rows).abs() <= reach).sum())
    by_chance = 2 * reach / count
    return near / count >= max(_ORDERED_SHARE, (1 + by_chance) / 2)


def chunks_in_order(count: int, *, chunk_views: int, overlap: int) -> list[Chunk]:
    """Return stretches of equal length, spread evenly so that all overlap about as much."""
    if count <= chunk_views:
        return [_stretch(0, count)]
    last = count - chunk_views
    steps = -(-last // (chunk_views - overlap))
    return [_stretch(round(last * step / steps), chunk_views) for step in range(steps + 1)]


def _stretch(start: int, length: int) -> Chunk:
    weights = tuple(float(min(i + 1, length - i)) for i in range(length))
    return Chunk(tuple(range(start, start + length)), weights)


def chunks_by_similarity(
    descriptors: Float[Tensor, "views channels"], *, chunk_views: int, overlap: int
) -> list[Chunk]:
    """Return groups of similar views that grow out of each other, from the first view on.

    Each new group starts at the view most similar to any that is in a group already, takes in the
    views most similar to its own, and then the views of the group that it started from which are
    most similar to all of these.
    """
    count = len(descriptors)
    home = torch.full((count,), -1)  # the group that a view came with
    nearest = torch.zeros(count, dtype=torch.long)  # among views with a home
    closeness = torch.full((count,), -torch.inf)
    groups: list[list[int]] = []
    while (home < 0).any():
        start = int(closeness.masked_fill(home >= 0, -torch.inf).argmax()) if groups else 0
        shared = overlap if groups else 0
        new = _grown(descriptors, start, home < 0, chunk_views - shared)
        if groups:
            parent = groups[int(home[nearest[start]])]
            old = _most_similar(descriptors, parent, new, chunk_views - len(new))
        else:
            old = []
        home[new] = len(groups)
        groups.append([*old, *new])
        for view in new:
            similar = descriptors @ descriptors[view]
            closer = similar > closeness
            closeness, nearest = (
                closeness.where(~closer, similar),
                nearest.masked_fill(closer, view),
            )
    return [Chunk(tuple(group), (1.0,) * len(group)) for group in groups]


def _grown(
    descriptors: Float[Tensor, "views channels"], start: int, free: Tensor, size: int
) -> list[int]:
    """Return free views, each the most similar to all before it."""
    free = free.clone()
    chosen: list[int] = []
    total = torch.zeros(len(descriptors))
    view = start
    while True:
        chosen.append(view)
        free[view] = False
        if len(chosen) == size or not free.any():
            return chosen
        total += descriptors @ descriptors[view]
        view = int(total.masked_fill(~free, -torch.inf).argmax())


def _most_similar(
    descriptors: Float[Tensor, "views channels"],
    candidates: Sequence[int],
    to: Sequence[int],
    count: int,
) -> list[int]:
    similar = descriptors[list(candidates)] @ descriptors[list(to)].sum(dim=0)
    ranked = similar.sort(descending=True, stable=True).indices[:count]
    return [candidates[place] for place in ranked.tolist()]
