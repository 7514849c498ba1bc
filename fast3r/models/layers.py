"""Transformer blocks, and the positions that they know.

Letters in comments: B batch, T tokens, D width, H heads, d channels of a head, P patches.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Rotation = tuple[Float[Tensor, "patches 2 freqs"], Float[Tensor, "patches 2 freqs"]]
"""Cosine and sine of the rotary angles: by patch, then vertical and horizontal."""

KeysValues = Callable[
    [Float[Tensor, "batch heads tokens d"], Float[Tensor, "batch heads tokens d"]],
    tuple[Float[Tensor, "batch heads seen d"], Float[Tensor, "batch heads seen d"]],
]
"""From the keys and values of a block's tokens to those that its queries look at: of all
processes, say, or a part of them."""


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
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(
    heads: Float[Tensor, "batch heads patches channels"], rotation: Rotation
) -> Float[Tensor, "batch heads patches channels"]:
    """Turn queries or keys by the angles of their patches."""
    cos, sin = rotation
    pairs = heads.unflatten(-1, (2, 2, -1))  # (B, H, P, axis, half, d/4)
    first, second = pairs.unbind(dim=-2)
    turned = (first * cos - second * sin, second * cos + first * sin)
    return torch.stack(turned, dim=-2).flatten(-3)


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

    def __init__(self, width: int, octaves: int = 6) -> None:
        super().__init__()
        self.octaves = octaves
        self.project = nn.Linear(2 + 4 * octaves, width)

    def forward(self, grid: tuple[int, int]) -> Float[Tensor, "patches width"]:
        """Return one vector a patch, row by row."""
        weight = self.project.weight
        rows, columns = (torch.arange(n, device=weight.device, dtype=torch.float32) for n in grid)
        y = (2 * rows + 1 - grid[0]) / max(grid)
        x = (2 * columns + 1 - grid[1]) / max(grid)
        place = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).flatten(0, 1)  # (P, 2)
        octaves = 2.0 ** torch.arange(self.octaves, device=weight.device) * math.pi / 2
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
    ) -> Float[Tensor, "batch tokens width"]:
        """Return the tokens after this block.

        Args:
            tokens: Owned by the block: changed in place when no gradients are recorded.
            rotation: Rotary positions of the tokens; None for none.
            keep: False for tokens that no other may look at.
            sharpness: Factor on the attention logits.
            chunk: Work on this many tokens at a time; ignored while gradients are recorded.
            seen: Changes which keys and values the queries look at; None leaves them.
        """
        scale = sharpness / math.sqrt(tokens.shape[-1] // self.heads)
        mask = None if keep is None else keep[:, None, None]
        parts = _parts(tokens.shape[1], chunk)
        tokens = self._attend(tokens, parts, rotation, mask, scale, seen)
        for part in parts:
            tokens = _add(tokens, part, self._mlp(tokens[:, part]))
        return tokens

    def _attend(
        self,
        tokens: Tensor,
        parts: Sequence[slice],
        rotation: Rotation | None,
        mask: Tensor | None,
        scale: float,
        seen: KeysValues | None,
    ) -> Tensor:
        """Add attention to the tokens; a method, so that keys and values are gone after it."""
        queries, keys, values = self._project(tokens, parts, rotation)
        if seen is not None:
            keys, values = seen(keys, values)
        for part in parts:
            asking = self._queries(tokens[:, part]) if queries is None else queries
            answer = F.scaled_dot_product_attention(asking, keys, values, mask, scale=scale)
            del asking  # else they live on beside those of the next part
            tokens = _add(tokens, part, self.proj(answer.transpose(1, 2).flatten(2)))
        return tokens

    def _project(
        self, tokens: Tensor, parts: Sequence[slice], rotation: Rotation | None
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """Return queries (None when there are several parts), keys and values, (B, H, T, d)."""
        if len(parts) == 1:
            triple = self.qkv(self.norm1(tokens)).unflatten(-1, (3, self.heads, -1))
            queries, keys, values = triple.permute(2, 0, 3, 1, 4).unbind(0)
            if rotation is not None:
                queries, keys = rotate(queries, rotation), rotate(keys, rotation)
            return queries, keys, values
        assert rotation is None
        width = tokens.shape[-1]
        weight, bias = self.qkv.weight[width:], self._bias(slice(width, None))
        pair = None
        for part in parts:
            made = F.linear(self.norm1(tokens[:, part]), weight, bias)
            if pair is None:
                pair = made.new_empty(*tokens.shape[:2], 2, self.heads, width // self.heads)
            pair[:, part] = made.unflatten(-1, (2, self.heads, -1))
            del made  # else it lives on beside that of the next part
        assert pair is not None
        keys, values = pair.permute(2, 0, 3, 1, 4).unbind(0)
        return None, keys, values

    def _queries(self, tokens: Tensor) -> Tensor:
        width = tokens.shape[-1]
        made = F.linear(self.norm1(tokens), self.qkv.weight[:width], self._bias(slice(width)))
        return made.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _mlp(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm2(tokens))))

    def _bias(self, rows: slice) -> Tensor | None:
        return None if self.qkv.bias is None else self.qkv.bias[rows]


def _parts(length: int, chunk: int | None) -> list[slice]:
    if chunk is None or torch.is_grad_enabled():
        return [slice(0, length)]
    return [slice(start, min(start + chunk, length)) for start in range(0, length, chunk)]


def _add(tokens: Tensor, part: slice, update: Tensor) -> Tensor:
    if torch.is_grad_enabled():
        return tokens + update  # there is a single part while gradients are recorded
    tokens[:, part] += update
    return tokens
