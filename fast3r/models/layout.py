"""Where the tokens of each view lie in the one long sequence that fusion works on."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class ViewTokens:
    """The patches of one view."""

    grid: tuple[int, int]
    """Rows and columns of patches."""

    kept: Int[Tensor, " kept"] | None = None
    """Indices of the patches that take part; None for all."""

    @property
    def count(self) -> int:
        """Number of tokens that take part."""
        return self.grid[0] * self.grid[1] if self.kept is None else len(self.kept)

    def drop(
        self, tokens: Float[Tensor, "*batch patches width"]
    ) -> Float[Tensor, "*batch kept width"]:
        """Return the tokens that take part."""
        return tokens if self.kept is None else tokens[..., self.kept, :]

    def restore(
        self, tokens: Float[Tensor, "*batch kept width"]
    ) -> Float[Tensor, "*batch patches width"]:
        """Return a full grid, with the mean of the view's tokens where one was dropped."""
        if self.kept is None:
            return tokens
        patches = self.grid[0] * self.grid[1]
        full = tokens.mean(dim=-2, keepdim=True).repeat_interleave(patches, dim=-2)
        full[..., self.kept, :] = tokens
        return full


@dataclass(frozen=True)
class Run:
    """Neighbouring views of one size, none of them masked: their tokens form a regular array."""

    first: int
    """Index of the first view."""

    views: int
    """Number of views."""

    tokens: slice
    """Their place in the sequence."""

    layout: ViewTokens
    """The patches that each of them has."""


@dataclass(frozen=True)
class Layout:
    """The views of a scene in order."""

    views: tuple[ViewTokens, ...]
    """One entry a view."""

    @cached_property
    def starts(self) -> list[int]:
        """Place of each view's first token."""
        return list(accumulate((view.count for view in self.views), initial=0))

    def tokens_of(self, view: int) -> slice:
        """Return the place of one view's tokens."""
        return slice(self.starts[view], self.starts[view + 1])

    def chunks(self, size: int | None) -> Iterator[list[int]]:
        """Yield the indices of views of one size, at most so many at a time; None for all."""
        by_grid: dict[tuple[int, int], list[int]] = {}
        for index, view in enumerate(self.views):
            by_grid.setdefault(view.grid, []).append(index)
        for group in by_grid.values():
            step = size or len(group)
            yield from (group[start : start + step] for start in range(0, len(group), step))

    def runs(self, limit: int | None = None) -> Iterator[Run]:
        """Yield runs of at most `limit` tokens, but at least one view, in order."""
        first = 0
        while first < len(self.views):
            most = len(self.views) if limit is None else limit // self.views[first].count
            end = first + 1
            while end - first < most and self._continues(first, end):
                end += 1
            tokens = slice(self.starts[first], self.starts[end])
            yield Run(first, end - first, tokens, self.views[first])
            first = end

    def _continues(self, first: int, end: int) -> bool:
        if end >= len(self.views):
            return False
        a, b = self.views[first], self.views[end]
        return a.kept is None and b.kept is None and a.grid == b.grid


def layout_of(grids: list[tuple[int, int]], keep: list[Bool[Tensor, " _"]] | None = None) -> Layout:
    """Return the layout of views with these patch grids and, if any, these kept patches.

    Raises:
        ValueError: A view has no patch left.
    """
    views = []
    for index, grid in enumerate(grids):
        kept = None if keep is None or bool(keep[index].all()) else keep[index].nonzero()[:, 0]
        if kept is not None and len(kept) == 0:
            raise ValueError(
                f"view {index} is masked out entirely: leave it out or give it a larger mask"
            )
        views.append(ViewTokens(grid, kept))
    return Layout(tuple(views))


def gather_tokens(
    tokens: Float[Tensor, "batch tokens width"], layout: Layout, views: list[int]
) -> Float[Tensor, "images patches width"]:
    """Return full grids of tokens of views of one size, sample by sample."""
    grids = [layout.views[v].restore(tokens[:, layout.tokens_of(v)]) for v in views]
    return torch.stack(grids, dim=1).flatten(0, 1)
