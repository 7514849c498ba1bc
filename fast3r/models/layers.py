"""Transformer blocks, and the positions that they know.

Letters in comments: B batch, T tokens, D width, H heads, d channels of a head, P patches.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

_OCTAVES = 6
"""Of the Fourier features of a place in the image, whose longest wave is twice its long side."""

Rotation = tuple[Float[Tensor, "patches channels"], Float[Tensor, "patches channels"]]
"""Cosine and signed sine of the rotary angle of each channel of a head, by patch. The first half of
the channels turns vertically, the second horizontally; within a half, each channel of its first
half is paired with one of its second, and the sine is negative for the first of a pair."""

KeysValues = Callable[
    [Float[Tensor, "batch heads tokens d"], Float[Tensor, "batch heads tokens d"]],
    tuple[Float[Tensor, "batch heads seen d"], Float[Tensor, "batch heads seen d"]],
]
"""From the keys and values of a block's tokens to those that its queries look at: those of all
processes, say."""


class Sources(NamedTuple):
    """Some of the tokens, which stand for all of them."""

    tokens: Int[Tensor, " seen"]
    """Their places in the sequence, in order."""

    bias: Float[Tensor, " seen"]
    """The logarithm of how many tokens each of them stands for; added to its logits."""


def patch_rotation(
    grid: tuple[int, int], head_width: int, base: float, *, dtype: torch.dtype, device: torch.device
) -> Rotation:
    """Return the 2D rotary position embedding of a grid of patches, row by row.

    The first half of a head's channels turns with the row, the second with the column
    (RoFormer, Su et al. 2021, applied to each axis).
    """
    quarter = head_width // 4
    steps = torch.arange(quarter, dtype=torch.float32, device=device)
    frequencies = base ** (-steps / quarter)
    rows, columns = grid
    y = torch.arange(rows, device=device).repeat_interleave(columns)
    x = torch.arange(columns, device=device).repeat(rows)
    angles = torch.stack((y, x), dim=1).float()[..., None] * frequencies  # (P, 2, d/4)
    # Half precision cannot tell neighbouring angles apart: cos and sin are taken in at least fp32.
    angles = angles.to(torch.promote_types(dtype, torch.float32))
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    return torch.stack((cos, cos), dim=2).flatten(1), torch.stack((-sin, sin), dim=2).flatten(1)


def rotate(
    heads: Float[Tensor, "batch heads patches channels"], rotation: Rotation
) -> Float[Tensor, "batch heads patches channels"]:
    """Turn queries or keys by the angles of their patches."""
    cos, sin = rotation
    first, second, third, fourth = heads.chunk(4, dim=-1)
    # Whole rows of channels at a time: four times faster on CPU than quarter by quarter.
    partners = torch.cat((second, first, fourth, third), dim=-1)
    return (heads * cos).addcmul_(partners, sin)


def view_embedding(
    view_ids: Int[Tensor, "batch views"], width: int
) -> Float[Tensor, "batch views width"]:
    """Return rows of the sinusoidal view-index table (Vaswani et al. 2017), for any index.

    Computed in float64 and rounded to float32, as the published table is.
    """
    half = width // 2
    frequencies = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = view_ids.cpu().double()[..., None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=-1).float()


class PatchPosition(nn.Module):
    """A linear map of Fourier features of a patch's place in the image.

    Places are measured from the image centre in units of half the long side, so that the same
    place means the same ray direction for every size of one shape.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(2 + 4 * _OCTAVES, width)

    def forward(self, grid: tuple[int, int]) -> Float[Tensor, "patches width"]:
        """Return one vector a patch, row by row."""
        weight = self.project.weight
        rows, columns = (torch.arange(n, device=weight.device, dtype=torch.float32) for n in grid)
        y = (2 * rows + 1 - grid[0]) / max(grid)
        x = (2 * columns + 1 - grid[1]) / max(grid)
        place = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).flatten(0, 1)  # (P, 2)
        octaves = 2.0 ** torch.arange(_OCTAVES, device=weight.device) * math.pi / 2
        waves = (place[..., None] * octaves).flatten(1)
        features = torch.cat((place, waves.sin(), waves.cos()), dim=-1)
        return self.project(features.to(weight.dtype))


class Block(nn.Module):
    """A pre-norm transformer block: attention, then an MLP, each added to its input.

    Without gradients the tokens are updated in place and in parts, so that a block needs only
    its keys and values beside them.
    """

    def __init__(
        self, width: int, heads: int, *, mlp_ratio: float, norm_eps: float, qkv_bias: bool = True
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=norm_eps)
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=norm_eps)
        self.fc1 = nn.Linear(width, int(width * mlp_ratio))
        self.fc2 = nn.Linear(int(width * mlp_ratio), width)

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens width"],
        *,
        rotation: Rotation | None = None,
        keep: Bool[Tensor, "batch tokens"] | None = None,
        sharpness: float = 1.0,
        chunk: int | None = None,
        seen: KeysValues | None = None,
        sources: Sources | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Return the tokens after this block.

        Args:
            tokens: Owned by the block: changed in place when no gradients are recorded.
            rotation: Rotary positions of the tokens; None for none.
            keep: False for tokens that no other may look at.
            sharpness: Factor on the attention logits.
            chunk: Work on this many tokens at a time; ignored while gradients are recorded.
            seen: Changes which keys and values the queries look at; None leaves them.
            sources: The tokens that have keys and values; None for all. Not with `rotation`.
        """
        scale = sharpness / math.sqrt(tokens.shape[-1] // self.heads)
        mask = None if keep is None else keep[:, None, None]
        if sources is not None:
            mask = sources.bias.to(tokens)[None, None, None]
        look = partial(F.scaled_dot_product_attention, attn_mask=mask, scale=scale)
        parts = _parts(tokens.shape[1], chunk)
        tokens = self._attend(tokens, parts, rotation, look, seen, sources)
        for part in parts:
            tokens = _add(tokens, part, self._mlp(tokens[:, part]))
        return tokens

    def _attend(
        self,
        tokens: Tensor,
        parts: Sequence[slice],
        rotation: Rotation | None,
        look: Callable[[Tensor, Tensor, Tensor], Tensor],
        seen: KeysValues | None,
        sources: Sources | None,
    ) -> Tensor:
        """Add attention to the tokens; a method, so that keys and values are gone after it."""
        if len(parts) > 1 or sources is not None:
            assert rotation is None
            return self._attend_in_parts(tokens, parts, look, seen, sources)
        queries, keys, values = self._project(tokens, rotation)
        if seen is not None:
            keys, values = seen(keys, values)
        return self._add_answer(tokens, parts[0], look(queries, keys, values))

    def _attend_in_parts(
        self,
        tokens: Tensor,
        parts: Sequence[slice],
        look: Callable[[Tensor, Tensor, Tensor], Tensor],
        seen: KeysValues | None,
        sources: Sources | None,
    ) -> Tensor:
        """Add attention with the keys and values of all tokens, but queries of a part at a time."""
        looked_at = tokens if sources is None else tokens[:, sources.tokens]
        keys, values = self._keys_values(looked_at, chunk=parts[0].stop)
        if seen is not None:
            keys, values = seen(keys, values)
        weight, bias = self._rows(slice(tokens.shape[-1]), tokens.dtype)
        for part in parts:
            made = F.linear(self.norm1(tokens[:, part]), weight, bias)
            answer = look(made.unflatten(-1, (self.heads, -1)).transpose(1, 2), keys, values)
            del made  # else it lives on beside that of the next part
            tokens = self._add_answer(tokens, part, answer)
        return tokens

    def _add_answer(self, tokens: Tensor, part: slice, answer: Tensor) -> Tensor:
        return _add(tokens, part, self.proj(answer.transpose(1, 2).flatten(2)))

    def _project(self, tokens: Tensor, rotation: Rotation | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, (B, H, T, d)."""
        triple = self.qkv(self.norm1(tokens)).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = triple.permute(2, 0, 3, 1, 4).unbind(0)
        if rotation is not None:
            return rotate(queries, rotation), rotate(keys, rotation), values
        if tokens.is_cpu:
            # Each core reads them once for each few hundred queries: 5 to 10 % faster in a row.
            keys, values = keys.contiguous(), values.contiguous()
        return queries, keys, values

    def _keys_values(self, tokens: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """Return the keys and values of tokens, (B, H, T, d), made in parts but stored once."""
        batch, length, width = tokens.shape
        weight, bias = self._rows(slice(width, None), tokens.dtype)
        pair = None
        for part in _parts(length, chunk):
            made = F.linear(self.norm1(tokens[:, part]), weight, bias)
            if pair is None:
                pair = made.new_empty(2, batch, self.heads, length, width // self.heads)
            pair[..., part, :] = made.unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
            del made  # else it lives on beside that of the next part
        assert pair is not None
        keys, values = pair.unbind(0)
        return keys, values

    def _rows(self, rows: slice, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """Return rows of the matrix for queries, keys and values, and of its bias.

        In the format of the tokens, to which autocast would convert them for each part anew.
        """
        bias = None if self.qkv.bias is None else self.qkv.bias[rows].to(dtype)
        return self.qkv.weight[rows].to(dtype), bias

    def _mlp(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm2(tokens))))


def _parts(length: int, chunk: int | None) -> list[slice]:
    if chunk is None or torch.is_grad_enabled():
        return [slice(0, length)]
    return [slice(start, min(start + chunk, length)) for start in range(0, length, chunk)]


def _add(tokens: Tensor, part: slice, update: Tensor) -> Tensor:
    if torch.is_grad_enabled():
        return tokens + update  # there is a single part while gradients are recorded
    tokens[:, part] += update
    return tokens
