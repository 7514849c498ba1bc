"""Fast3R: many views in, pointmaps out, in one forward pass (Yang et al., CVPR 2025).

The network knows nothing of files, time or logging. It takes any mix of image sizes, any number
of views, and works in chunks that change its memory but not its result.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter, methodcaller
from pathlib import Path
from typing import get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fast3r.models.attention import AttentionKernel, attention_kernels
from fast3r.models.config import Fast3RConfig
from fast3r.models.dpt import DptHead
from fast3r.models.encoder import Encoder
from fast3r.models.fusion import Fusion, draw_view_ids
from fast3r.models.images import check_views, unmasked, views_of
from fast3r.models.layers import KeysValues
from fast3r.models.layout import Layout, gather_tokens, layout_of
from fast3r.models.matching import MatchHead
from fast3r.models.prediction import Prediction, in_order, joined
from fast3r.models.recompute import Caller, Part, Recomputed, directly
from fast3r.models.thinning import Thinning
from fast3r.models.transfer import sent


@dataclass(frozen=True)
class Chunks:
    """How much is worked on at a time: smaller saves memory, and never changes the result.

    While gradients are recorded everything is one chunk, except where gradient checkpointing of
    the heads makes their chunks worth it.
    """

    encoder_views: int = 8
    """Views encoded at a time."""

    fusion_tokens: int = 8192
    """Tokens whose queries and MLP are computed at a time."""

    head_views: int = 2
    """Views whose pointmaps are computed at a time."""


@dataclass(frozen=True)
class Tokens:
    """What the transformer knows of the views, before the heads."""

    levels: list[Float[Tensor, "batch tokens _"]]
    """The four levels that the heads read; the first is the encoder's output."""

    layout: Layout
    """Where each view's tokens are."""


class Fast3R(nn.Module):
    """The network. `Fast3R()` is the published ViT-L architecture with random weights."""

    def __init__(
        self, config: Fast3RConfig | None = None, *, attention: AttentionKernel = "auto"
    ) -> None:
        """Build the network.

        Args:
            config: Shape of the model; the published one by default.
            attention: Kernel to use on CUDA; "auto" chooses by hardware.
        """
        super().__init__()
        self.config = config = config or Fast3RConfig()
        self.attention: AttentionKernel = attention
        self.gradient_checkpointing: frozenset[Part] = frozenset()
        self.thinning: Thinning | None = None
        """Set it to make fusion look at a part of the views only: faster, and no longer exact."""
        self.encoder = Encoder(config.encoder)
        self.fusion = Fusion(
            config.fusion, config.encoder.width, rope_base=config.encoder.rope_base
        )
        widths = (config.encoder.width, *[config.fusion.width] * 3)
        self.world_head = DptHead(config.head, widths, config.encoder.patch)
        self.local_head = (
            DptHead(config.head, widths, config.encoder.patch) if config.head.local else None
        )
        self.match_head = MatchHead(widths) if config.head.matches else None

    @classmethod
    def from_pretrained(cls, source: str | Path) -> "Fast3R":
        """Return a model from a folder or a hub repository; see `fast3r.load_model`."""
        from fast3r.models.checkpoints import load_model

        return load_model(source)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder.norm.weight.device

    @property
    def patch(self) -> int:
        """Sides of images must be multiples of this."""
        return self.config.encoder.patch

    def set_gradient_checkpointing(self, parts: Collection[Part] = get_args(Part)) -> None:
        """Compute the activations of these parts again in the backward pass, to save memory.

        Gradients stay the same, and so does all that runs without them. The encoder and the
        fusion keep only the input of each block; the heads keep none, and work on
        `Chunks.head_views` views at a time.

        Args:
            parts: Any of "encoder", "fusion" and "heads"; empty to keep all activations again.

        Raises:
            ValueError: There is no such part.
        """
        unknown = sorted(set(parts) - set(get_args(Part)))
        if isinstance(parts, str) or unknown:
            raise ValueError(
                f"gradient checkpointing takes a list of {get_args(Part)}, got {parts!r}"
            )
        self.gradient_checkpointing = frozenset(parts)

    def compile_blocks(self) -> None:
        """Let torch.compile make the blocks of encoder and fusion faster, when they first run.

        That takes a minute or so, and a C++ compiler on the CPU. Numbers stay the same to rounding,
        weights keep their names, and the heads, which are convolutions, stay as they are.
        """
        for block in [*self.encoder.blocks, *self.fusion.blocks]:
            block.compile(dynamic=True)

    def forward(
        self,
        images: Float[Tensor, "batch views 3 height width"] | Sequence[Tensor],
        view_ids: Int[Tensor, "batch views"] | None = None,
        seed: int = 0,
        *,
        masks: Sequence[Bool[Tensor, "batch _ _"]] | None = None,
        chunks: Chunks | None = None,
        output_device: torch.device | str | None = None,
    ) -> list[Prediction]:
        """Return the pointmaps of every view.

        Args:
            images: RGB in [0, 1], as one tensor or as a list of tensors (B, 3, H_i, W_i); sides
                are multiples of the patch. They may be on another device than the weights.
            view_ids: Rows of the view-index table; drawn from `seed` by default.
            seed: Equal seeds give equal results.
            masks: For each view, True where a pixel belongs to the scene (B, H_i, W_i). Masked
                patches are hidden from all others and leave the token set before fusion.
            chunks: How much is worked on at a time.
            output_device: Where the pointmaps go as they are made; by default they stay.

        Raises:
            ValueError: Sizes, ids or masks do not fit together.
        """
        made = self.stream(images, view_ids, seed, masks=masks, chunks=chunks)
        if output_device is not None:
            send = methodcaller("to", output_device)
            made = ((view, prediction.mapped(send)) for view, prediction in made)
        return in_order(made)

    def stream(
        self,
        images: Float[Tensor, "batch views 3 height width"] | Sequence[Tensor],
        view_ids: Int[Tensor, "batch views"] | None = None,
        seed: int = 0,
        *,
        masks: Sequence[Bool[Tensor, "batch _ _"]] | None = None,
        chunks: Chunks | None = None,
    ) -> Iterator[tuple[int, Prediction]]:
        """Yield view indices and predictions as the heads make them; arguments as in `forward`.

        Views of one size follow each other, so the order is not that of the input when sizes mix.
        """
        views = views_of(images)
        check_views(views, masks, self.patch)
        if masks is not None and views[0].shape[0] > 1:
            yield from self._stream_samples(views, view_ids, seed, masks, chunks)
            return
        tokens = self.tokens(views, view_ids, seed, masks=masks, chunks=chunks)
        yield from self.predict(tokens, chunks=chunks)

    def tokens(
        self,
        images: Float[Tensor, "batch views 3 height width"] | Sequence[Tensor],
        view_ids: Int[Tensor, "batch views"] | None = None,
        seed: int = 0,
        *,
        masks: Sequence[Bool[Tensor, "batch _ _"]] | None = None,
        chunks: Chunks | None = None,
        seen: KeysValues | None = None,
    ) -> Tokens:
        """Return what encoder and fusion make of the views; arguments as in `forward`.

        `seen` changes which keys and values fusion looks at, see `Fusion.forward`.

        Raises:
            ValueError: As in `forward`, or there are masks and a batch of several samples.
        """
        views = views_of(images)
        check_views(views, masks, self.patch)
        if masks is not None and views[0].shape[0] > 1:
            raise ValueError(
                "masks take different patches of each sample: make the tokens of one alone"
            )
        if self.thinning is not None and self.attention == "flash":
            raise ValueError("thinned fusion weighs keys, which flash cannot: use attention 'auto'")
        chunks = chunks or Chunks()
        ids = self._view_ids(views, view_ids, seed)
        with attention_kernels(self.attention, self.device):
            encoded, layout = self._encode(views, masks, chunks.encoder_views)
            levels = self.fusion(
                encoded,
                layout,
                ids,
                chunk=chunks.fusion_tokens,
                call=self._caller("fusion"),
                seen=seen,
                thinning=self.thinning,
            )
        return Tokens(levels, layout)

    def predict(
        self, tokens: Tokens, *, chunks: Chunks | None = None
    ) -> Iterator[tuple[int, Prediction]]:
        """Yield view indices and predictions, from the output of `tokens`."""
        call = self._caller("heads")
        at_once = torch.is_grad_enabled() and call is directly
        size = None if at_once else (chunks or Chunks()).head_views
        for views in tokens.layout.chunks(size):
            made = call(self._pointmaps, tokens.levels, tokens.layout, views)
            for place, view in enumerate(views):
                yield view, made.mapped(itemgetter(slice(place, None, len(views))))

    def _pointmaps(self, levels: Sequence[Tensor], layout: Layout, views: list[int]) -> Prediction:
        """Return the pointmaps of views of one size, sample by sample."""
        grid = layout.views[views[0]].grid
        dtype = self.world_head.out3.weight.dtype  # tokens made under autocast have another
        gathered = [gather_tokens(level, layout, views).to(dtype) for level in levels]
        local = None if self.local_head is None else self.local_head(gathered, grid)
        patches = None if self.match_head is None else self.match_head(gathered)
        return Prediction(self.world_head(gathered, grid), local, patches)

    def _caller(self, part: Part) -> Caller:
        if part in self.gradient_checkpointing and torch.is_grad_enabled():
            return Recomputed(self.attention, self.device)
        return directly

    def _encode(
        self, views: Sequence[Tensor], masks: Sequence[Tensor] | None, chunk: int
    ) -> tuple[Tensor, Layout]:
        """Return the tokens of all views in one sequence, and where those of each view are."""
        grids = [(v.shape[2] // self.patch, v.shape[3] // self.patch) for v in views]
        encoded: dict[int, Tensor] = {}
        kept: dict[int, Tensor] = {}
        for chosen in layout_of(grids).chunks(None if torch.is_grad_enabled() else chunk):
            images, keep = self._inputs(views, masks, chosen)
            tokens = self.encoder(images, keep, call=self._caller("encoder"))
            by_view = tokens.unflatten(0, (-1, len(chosen))).unbind(1)
            encoded.update(zip(chosen, by_view, strict=True))
            if keep is not None:
                kept.update(zip(chosen, keep, strict=True))
        layout = layout_of(grids, [kept[v] for v in range(len(views))] if kept else None)
        parts = [view.drop(encoded[index]) for index, view in enumerate(layout.views)]
        return torch.cat(parts, dim=1), layout

    def _inputs(
        self, views: Sequence[Tensor], masks: Sequence[Tensor] | None, chosen: list[int]
    ) -> tuple[Tensor, Tensor | None]:
        """Return views where the weights are, and which of their patches count; None for all."""
        weight = self.encoder.norm.weight
        images = torch.stack([views[v] for v in chosen], dim=1)
        images = sent(images, weight.device).to(weight.dtype).flatten(0, 1)
        if masks is None:
            return images, None
        mask = torch.stack([masks[v] for v in chosen], dim=1).to(images.device)
        return unmasked(images, mask.flatten(0, 1), self.patch)

    def _view_ids(self, views: Sequence[Tensor], ids: Tensor | None, seed: int) -> Tensor:
        batch, count = views[0].shape[0], len(views)
        if ids is None and self.config.fusion.view_ids == "sequential":
            return torch.arange(count).repeat(batch, 1)
        if ids is None:
            return draw_view_ids(batch, count, seed=seed)
        if tuple(ids.shape) != (batch, count):
            found = "x".join(map(str, ids.shape))
            raise ValueError(f"view_ids must be {batch}x{count}, got {found}")
        return ids

    def _stream_samples(
        self,
        views: Sequence[Tensor],
        view_ids: Tensor | None,
        seed: int,
        masks: Sequence[Tensor],
        chunks: Chunks | None,
    ) -> Iterator[tuple[int, Prediction]]:
        """Run sample by sample, for each loses other patches to its masks."""
        ids = self._view_ids(views, view_ids, seed)
        samples = []
        for b in range(views[0].shape[0]):
            one = [view[b : b + 1] for view in views]
            mask = [m[b : b + 1] for m in masks]
            samples.append(dict(self.stream(one, ids[b : b + 1], masks=mask, chunks=chunks)))
        for view in samples[0]:
            yield view, joined([sample[view] for sample in samples])
