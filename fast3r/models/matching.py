"""Which patches of two views see the same point: a head on the tokens, and what its features say.

After fusion a token knows where its patch lies in the scene, so the patches of two views that see
one point can be told from their tokens alone, and so can the place inside the patch. The features
of a view are made once; any two views are then compared by products.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

LEVELS = (1, 3)
"""Token levels that the head reads: halfway through fusion, where matching is learnt soonest, and
the last."""

_SAME = 64
_PLACE = 16
FEATURES = _SAME + 4 * _PLACE
"""Channels of a patch: what it shows, where its centre is, and what is where inside it."""

TEMPERATURE = 0.05
"""Cosines between patches, divided by it, are logits."""

NO_MATCH = 0.5
"""Cosine that "none of these" has."""


def match_head_widths(widths: Sequence[int]) -> tuple[int, int]:
    """Return the width of the hidden layer and of the output, for token levels of these widths."""
    return 2 * widths[LEVELS[-1]], FEATURES


class MatchHead(nn.Module):
    """Makes the features of patches from their tokens."""

    def __init__(self, widths: Sequence[int]) -> None:
        """Build the head on token levels of these widths."""
        super().__init__()
        hidden, told = match_head_widths(widths)
        self.norms = nn.ModuleList(nn.LayerNorm(widths[level]) for level in LEVELS)
        self.hidden = nn.Linear(sum(widths[level] for level in LEVELS), hidden)
        self.out = nn.Linear(hidden, told)

    def forward(
        self, levels: Sequence[Float[Tensor, "batch patches _"]]
    ) -> Float[Tensor, "batch patches features"]:
        """Return the features of patches from all four levels of their tokens."""
        seen = [norm(levels[level]) for norm, level in zip(self.norms, LEVELS, strict=True)]
        return self.out(F.gelu(self.hidden(torch.cat(seen, dim=-1)))).float()


def cosines(
    first: Float[Tensor, "*batch patches features"], second: Float[Tensor, "*batch others features"]
) -> Float[Tensor, "*batch patches others"]:
    """Return how alike each patch of a first view is to each patch of a second one."""
    a, b = (F.normalize(side[..., :_SAME].float(), dim=-1) for side in (first, second))
    return a @ b.mT


def places(
    first: Float[Tensor, "*batch patches features"],
    second: Float[Tensor, "*batch patches features"],
) -> Float[Tensor, "*batch patches 2"]:
    """Return where the centres of patches of a first view are inside those of a second one.

    Column and row as offsets from the centre, in patches; patches are compared one by one.
    """
    point = first[..., _SAME:].unflatten(-1, (2, 2, _PLACE))[..., 0, :, :]
    inside = second[..., _SAME:].unflatten(-1, (2, 2, _PLACE))[..., 1, :, :]
    return (point.float() * inside.float()).sum(dim=-1) / _PLACE**0.5


class Found(NamedTuple):
    """What the patches of one view find in another."""

    patch: Int[Tensor, "*batch patches"]
    """Index of the patch of the other view that most likely sees the same point."""

    offset: Float[Tensor, "*batch patches 2"]
    """Where the centre of the first patch is from the centre of that one, in patches."""

    probability: Float[Tensor, "*batch patches"]
    """That the two choose each other, among all patches and "none of these"."""


def find_matches(
    first: Float[Tensor, "*batch patches features"], second: Float[Tensor, "*batch others features"]
) -> tuple[Found, Found]:
    """Return what the patches of a first view find in a second one, and the other way round."""
    logits = cosines(first, second) / TEMPERATURE
    there, back = with_none(logits).softmax(dim=-1), with_none(logits.mT).softmax(dim=-1)
    likely = (there[..., :-1] * back[..., :-1].mT).sqrt()
    return _found(likely, first, second), _found(likely.mT, second, first)


def _found(likely: Tensor, first: Tensor, second: Tensor) -> Found:
    probability, patch = likely.max(dim=-1)
    chosen = second.gather(-2, patch[..., None].expand(*patch.shape, second.shape[-1]))
    return Found(patch, places(first, chosen), probability)


def with_none(logits: Float[Tensor, "*batch patches others"]) -> Tensor:
    """Return logits with one more choice at the end: none of these."""
    return F.pad(logits, (0, 1), value=NO_MATCH / TEMPERATURE)
