"""What processes that share a forward pass have to know: who does what, and how they exchange.

Encoder and heads work on the views of their process alone. In fusion each process computes the
queries and the MLP of its own tokens, and looks at the keys and values of all, which the processes
give each other block by block; so the result is that of one process, to rounding.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fast3r.cluster.peers import Peers, fillable
from fast3r.models.attention import AttentionKernel
from fast3r.models.config import Fast3RConfig
from fast3r.models.fast3r import Chunks


def even_shares(amounts: Sequence[int], parts: int) -> list[range]:
    """Return neighbouring indices for each of several parts, with sums about equal.

    Raises:
        ValueError: There are fewer amounts than parts.
    """
    if len(amounts) < parts:
        raise ValueError(
            f"{parts} processes cannot share {len(amounts)} views, since each needs at least one: "
            "use fewer devices"
        )
    sums = list(accumulate(amounts))
    bounds = [0]
    for part in range(1, parts):
        target = sums[-1] * part / parts
        nearest = bisect_left([2 * s - a for s, a in zip(sums, amounts, strict=True)], 2 * target)
        bounds.append(min(max(nearest, bounds[-1] + 1), len(amounts) - parts + part))
    bounds.append(len(amounts))
    return [range(first, end) for first, end in pairwise(bounds)]


class AllTokens:
    """Gives the blocks of fusion the keys and values of the tokens of all processes.

    Beside its own, each process holds those of all tokens for one block at a time. They are sent
    in the number format of the block, without further copies.
    """

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._counts: list[int] | None = None

    def __call__(
        self,
        keys: Float[Tensor, "batch heads tokens d"],
        values: Float[Tensor, "batch heads tokens d"],
    ) -> tuple[Float[Tensor, "batch heads seen d"], Float[Tensor, "batch heads seen d"]]:
        """Return keys and values in the order of the views."""
        return self._gathered(keys, values)  # pyright: ignore[reportCallIssue]

    @torch.compiler.disable  # it may be called from within a compiled block
    def _gathered(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        batch, heads, own, width = keys.shape
        if self._counts is None:
            self._counts = self._peers.agree(own)
        with fillable():
            every = keys.new_empty(sum(self._counts), batch, 2, heads, width)
        parts = every.split(self._counts)
        mine = parts[self._peers.rank]
        mine[:, :, 0] = keys.permute(2, 0, 1, 3)
        mine[:, :, 1] = values.permute(2, 0, 1, 3)
        # Nothing after this takes memory, so that nobody fails while others are waiting for data.
        self._peers.agree()
        self._peers.share(parts)
        keys, values = every.permute(2, 1, 3, 0, 4).unbind(0)
        return keys, values


@dataclass(frozen=True)
class MakeModel:
    """Order to build a network and take its weights."""

    config: Fast3RConfig
    """Its shape."""

    attention: AttentionKernel
    """Kernel on CUDA."""

    dtype: torch.dtype
    """Of its weights."""

    kind: str
    """Of the devices to compute on."""


@dataclass(frozen=True)
class MakeTokens:
    """Order to make tokens of views that are sent next."""

    shares: list[range]
    """Views of each process."""

    shapes: list[tuple[int, ...]]
    """Of all images."""

    dtype: torch.dtype
    """Of the images."""

    ids: Int[Tensor, "batch views"]
    """Rows of the view-index table."""

    masked: bool
    """Whether each image is followed by a mask."""

    chunks: Chunks | None
    """How much is worked on at a time."""

    autocast: torch.dtype | None
    """Number format in which the process that leads computes, where that is not its weights'."""


@dataclass(frozen=True)
class MakePointmaps:
    """Order to make pointmaps of the tokens, and to send them when asked."""

    chunks: Chunks | None
    """How much is worked on at a time."""
