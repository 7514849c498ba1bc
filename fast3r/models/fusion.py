"""The transformer in which every token of every view looks at all others."""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fast3r.models.config import FusionConfig
from fast3r.models.layers import (
    Block,
    KeysValues,
    PatchPosition,
    Rotation,
    patch_rotation,
    view_embedding,
)
from fast3r.models.layout import Layout, Run
from fast3r.models.recompute import Caller, directly
from fast3r.models.thinning import Thinning
from fast3r.models.transfer import sent

TRAINING_VIEWS = 20
"""Views per sample when the published weights were trained; the base of the temperature."""

VIEW_ROWS = 1000
"""Rows of the view-index table that the published weights were trained with."""


def draw_view_ids(batch: int, views: int, *, seed: int) -> Int[Tensor, "batch views"]:
    """Return random rows of the view-index table: 0 for the first view, distinct ones after it.

    Rows are drawn from the 1000 that training used. Only scenes of more views take further rows
    of the same formula; the network has never seen those, and how well it takes them is unknown.
    """
    generator = torch.Generator().manual_seed(seed)
    others = max(VIEW_ROWS, views) - 1
    ids = torch.zeros(batch, views, dtype=torch.long)
    for row in ids:
        row[1:] = torch.randperm(others, generator=generator)[: views - 1] + 1
    return ids


class Fusion(nn.Module):
    """All-to-all transformer with an index per view (Yang et al. 2025, section 3.2)."""

    def __init__(self, config: FusionConfig, encoder_width: int, *, rope_base: float) -> None:
        super().__init__()
        self.config = config
        self.rope_base = rope_base
        self.embed = nn.Linear(encoder_width, config.width)
        self.position = PatchPosition(config.width) if config.absolute_position else None
        self.blocks = nn.ModuleList(
            Block(
                config.width,
                config.heads,
                mlp_ratio=config.mlp_ratio,
                norm_eps=1e-5,
                qkv_bias=config.qkv_bias,
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-6)

    @property
    def levels(self) -> tuple[int, int, int, int]:
        """Depths whose tokens the heads read; 0 is the encoder's output."""
        depth = self.config.depth
        return (0, depth // 2, 3 * depth // 4, depth)

    @property
    def sharpness(self) -> float:
        """Factor on the attention logits."""
        if self.config.temperature_views is None or self.training:
            return 1.0
        return math.sqrt(math.log(self.config.temperature_views) / math.log(TRAINING_VIEWS))

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens encoder_width"],
        layout: Layout,
        view_ids: Int[Tensor, "batch views"],
        *,
        chunk: int | None = None,
        call: Caller = directly,
        seen: KeysValues | None = None,
        thinning: Thinning | None = None,
    ) -> list[Float[Tensor, "batch tokens _"]]:
        """Return the four levels of tokens that the heads read.

        Args:
            tokens: Output of the encoder, view after view.
            layout: Where each view's tokens are.
            view_ids: Row of the view-index table for each view.
            chunk: Work on about this many tokens at a time where that saves memory.
            call: Way to call the blocks.
            seen: Changes which keys and values the blocks across views look at.
            thinning: Makes them look at a part of each view; None for all of it.

        Raises:
            ValueError: Both `seen` and `thinning` are given.
        """
        if seen is not None and thinning is not None:
            raise ValueError(
                "fusion cannot be thinned while its keys and values come from elsewhere, as with "
                "several devices: set model.thinning = None, or use one device"
            )
        levels = [tokens]
        sources = None if thinning is None else thinning.sources(layout, tokens.device)
        across = partial(call, sharpness=self.sharpness, chunk=chunk, seen=seen, sources=sources)
        tokens = self._embed(tokens, layout, view_ids)
        for depth, block in enumerate(self.blocks, start=1):
            if self.config.alternate and depth % 2 == 0:
                tokens = self._per_view(partial(call, block), tokens, layout, chunk)
            else:
                tokens = across(block, tokens)
            if depth in self.levels[1:3]:
                levels.append(tokens if torch.is_grad_enabled() else tokens.clone())
        return [*levels, self._final_norm(tokens, chunk)]

    def _embed(self, tokens: Tensor, layout: Layout, view_ids: Tensor) -> Tensor:
        tokens = self.embed(tokens)
        marks = sent(view_embedding(view_ids, self.config.width), tokens.device).to(tokens)
        pieces = []
        for run in layout.runs():
            piece = tokens[:, run.tokens].unflatten(1, (run.views, -1))
            mark = marks[:, run.first : run.first + run.views, None]
            piece = _plus(piece, mark)
            if self.position is not None:
                piece = _plus(piece, run.layout.drop(self.position(run.layout.grid)).to(piece))
            pieces.append(piece)
        if torch.is_grad_enabled():
            return torch.cat([piece.flatten(1, 2) for piece in pieces], dim=1)
        return tokens

    def _per_view(
        self, block: Callable[..., Tensor], tokens: Tensor, layout: Layout, chunk: int | None
    ) -> Tensor:
        """Run a block in which a token sees only the tokens of its own view."""
        pieces = []
        for run in layout.runs(None if torch.is_grad_enabled() else chunk):
            piece = tokens[:, run.tokens]
            alone = piece.unflatten(1, (run.views, -1)).flatten(0, 1)
            done = block(alone, rotation=self._rotation(run, tokens))
            done = done.unflatten(0, (-1, run.views)).flatten(1, 2)
            if torch.is_grad_enabled():
                pieces.append(done)
            elif done.data_ptr() != piece.data_ptr():  # a single sample was changed in place
                piece.copy_(done)
        return torch.cat(pieces, dim=1) if pieces else tokens

    def _rotation(self, run: Run, tokens: Tensor) -> Rotation:
        head_width = self.config.width // self.config.heads
        cos, sin = patch_rotation(
            run.layout.grid, head_width, self.rope_base, dtype=tokens.dtype, device=tokens.device
        )
        return run.layout.drop(cos), run.layout.drop(sin)

    def _final_norm(self, tokens: Tensor, chunk: int | None) -> Tensor:
        if torch.is_grad_enabled():
            return self.norm(tokens).to(tokens.dtype)
        for part in tokens.split(chunk or tokens.shape[1], dim=1):
            part.copy_(self.norm(part))
        return tokens


def _plus(tokens: Tensor, update: Tensor) -> Tensor:
    return tokens + update if torch.is_grad_enabled() else tokens.add_(update)
