"""Colours for numbers, for pictures of numbers, and for things in a row."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

# Nine evenly spaced colours of `magma` (van der Walt and Smith, 2015; CC0); between them the
# linear interpolation is within 9 of 255 of the original.
_MAGMA = (
    (0, 0, 4),
    (29, 17, 71),
    (81, 18, 124),
    (131, 38, 129),
    (183, 55, 121),
    (231, 82, 99),
    (252, 137, 97),
    (254, 196, 136),
    (252, 253, 191),
)


def magma(level: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape 3"]:
    """Return the RGB of each level: 0 is nearly black, 1 pale yellow; beyond them they hold."""
    table = torch.tensor(_MAGMA, dtype=torch.float32)
    place = level.float().clamp(0, 1) * (len(table) - 1)
    below = place.floor().clamp(max=len(table) - 2)
    share = (place - below)[..., None]
    below = below.long()
    return ((1 - share) * table[below] + share * table[below + 1]).round().to(torch.uint8)


def middle_range(values: Float[Tensor, " values"]) -> tuple[float, float]:
    """Return between which values the middle 96 % lie, by a sample of a million; 0 and 1 of none.

    What spans the colours, as a few strays would otherwise take them all.
    """
    sample = values[:: 1 + len(values) // 1_000_000].float()
    if len(sample) == 0:
        return 0.0, 1.0
    low, high = sample.quantile(torch.tensor([0.02, 0.98])).tolist()
    return low, high


def level_pictures(
    levels: Sequence[Float[Tensor, "_height _width"]],
    known: Sequence[Bool[Tensor, "_height _width"]],
) -> list[UInt8[Tensor, "_height _width 3"]]:
    """Return pictures in which colours mean the same, and what is not known is grey."""
    pairs = list(zip(levels, known, strict=True))
    low, high = middle_range(torch.cat([x[ok] for x, ok in pairs]))
    span = max(high - low, 1e-12)
    grey = torch.full((3,), 200, dtype=torch.uint8)
    return [magma((x - low) / span).where(ok[..., None], grey) for x, ok in pairs]


def spectrum(place: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape 3"]:
    """Return colours that stand out on white: red at 0, over green to violet close to 1."""
    offsets = torch.tensor([0.0, 2 / 3, 1 / 3])
    hue = 5 / 6 * place[..., None]
    ramp = ((((hue + offsets) % 1) * 6 - 3).abs() - 1).clamp(0, 1)
    return (25 + 205 * ramp).round().to(torch.uint8)
