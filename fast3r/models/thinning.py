"""Fewer keys and values for fusion: faster for hundreds of views, and no longer exact.

Every token still asks; it is answered by all tokens of the first view, whose frame is the world,
and by an even part of the tokens of each other view. A token that stands for n counts n times
(proportional attention; Bolya et al. 2023), so that the first view does not outshine the others.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fast3r.models.layers import Sources
from fast3r.models.layout import Layout, ViewTokens
from fast3r.models.transfer import sent

# The generator of the two-dimensional lattice of lowest discrepancy known (Roberts 2018): the real
# root of x³ = x + 1. Any number of lowest places in it lie evenly over the image.
_PLASTIC = 1.32471795724474602596


@dataclass(frozen=True)
class Thinning:
    """How much of each view the others look at."""

    share: float = 0.25
    """Part of the tokens of each view but the first, in (0, 1]; at least one of each."""

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(
                f"thinning keeps a share of the tokens in (0, 1], got {self.share}; "
                "None looks at all of them"
            )

    def sources(self, layout: Layout, device: torch.device) -> Sources:
        """Return the tokens that stand for all, the same in every layer."""
        tokens = [torch.arange(layout.views[0].count)]
        counts = [1.0] * layout.views[0].count
        for view, start in zip(layout.views[1:], layout.starts[1:-1], strict=True):
            chosen = self._chosen(view)
            tokens.append(chosen + start)
            counts += [view.count / len(chosen)] * len(chosen)
        return Sources(sent(torch.cat(tokens), device), sent(torch.tensor(counts).log(), device))

    def _chosen(self, view: ViewTokens) -> Int[Tensor, " chosen"]:
        """Return an even part of the tokens of a view, counted from its first one."""
        places = _lattice(view.grid)
        if view.kept is not None:
            places = places[view.kept.cpu()]
        count = max(1, round(self.share * view.count))
        return places.argsort(stable=True)[:count].sort().values


@lru_cache
def _lattice(grid: tuple[int, int]) -> Float[Tensor, " patches"]:
    """Return a number in [0, 1) for each patch; the patches below any number lie evenly."""
    row, column = (torch.arange(n, dtype=torch.float64) for n in grid)
    return ((row[:, None] / _PLASTIC + column / _PLASTIC**2) % 1).flatten()
