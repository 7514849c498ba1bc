"""Memory of one pass through the network, counted by hand.

What must exist at the peak is little: the weights, the four levels of tokens that the heads read,
the keys and values of one layer. All else is the working set of one chunk. Counted are numbers in
tensors; what allocators and libraries take on top is told in `fast3r.scene.plan.need`.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch

from fast3r.models.config import Fast3RConfig, HeadConfig
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.scene.plan.workload import Workload


@dataclass(frozen=True)
class Formats:
    """Bytes of a number."""

    weights: int = 4
    """As the model stores them; the heads compute in this format."""

    tokens: int = 4
    """In encoder and fusion: 2 where autocast makes them bfloat16."""


@dataclass(frozen=True)
class Count:
    """Bytes that a forward pass needs. The caller's images and outputs are left out."""

    weights: int
    """All parameters."""

    levels: int
    """The four levels of tokens that the heads read."""

    keys_values: int
    """Keys and values of one layer."""

    encoder: int
    """The most that is alive while views are encoded, the weights left out."""

    fusion: int
    """The most that is alive in the fusion, the weights left out."""

    heads: int
    """The most that is alive while the heads work, the weights left out."""

    @property
    def needed(self) -> int:
        """What must exist at the peak however small the chunks are."""
        return self.weights + self.levels + self.keys_values

    @property
    def peak(self) -> int:
        """The most that is alive at any time."""
        return self.weights + max(self.encoder, self.fusion, self.heads)


def count(
    config: Fast3RConfig,
    workload: Workload,
    chunks: Chunks,
    formats: Formats = Formats(),
    *,
    processes: int = 1,
) -> Count:
    """Return the bytes that a pass over these views needs when no gradients are recorded.

    Of several processes that share it, each has equally many of the views, and the keys and
    values of all.
    """
    encoder, fusion, item = config.encoder, config.fusion, formats.tokens
    every = workload.total_tokens
    tokens = -(-every // processes)
    encoded = workload.most_pixels(chunks.encoder_views) // encoder.patch**2
    fused = min(chunks.fusion_tokens, tokens)
    first_level = tokens * encoder.width * item
    all_levels = first_level + 3 * tokens * fusion.width * item
    # While they are exchanged, those of the own tokens are there twice.
    keys_values = 2 * (every + tokens * (processes > 1)) * fusion.width * item
    # Autocast keeps what it has made of the weights until both are done.
    cast = _cast_weights(config, tokens > chunks.fusion_tokens) * item
    cast = cast if item < formats.weights else 0
    return Count(
        weights=num_weights(config).all * formats.weights,
        levels=all_levels,
        keys_values=keys_values,
        # An MLP holds its hidden layer twice: before and after the activation.
        encoder=cast + first_level + int(2 * encoder.mlp_ratio * encoded * encoder.width) * item,
        fusion=cast
        + all_levels
        + max(
            int(2 * fusion.mlp_ratio * fused * fusion.width) * item,
            # Attention holds queries, what they have seen, and the projection of that.
            keys_values + 3 * fused * fusion.width * item,
        ),
        heads=all_levels + _head_bytes(config, workload, chunks.head_views, formats.weights),
    )


@dataclass(frozen=True)
class NumWeights:
    """Numbers that a model is made of."""

    all: int
    """In encoder, fusion and heads."""

    encoder: int
    """In the encoder."""

    fusion: int
    """In the fusion."""


@lru_cache(maxsize=8)
def num_weights(config: Fast3RConfig) -> NumWeights:
    """Return how many numbers a model of this shape is made of."""
    with torch.device("meta"):
        model = Fast3R(config)
    parts = (model, model.encoder, model.fusion)
    return NumWeights(*(sum(weight.numel() for weight in part.parameters()) for part in parts))


def _cast_weights(config: Fast3RConfig, in_parts: bool) -> int:
    """Return how many weights autocast has copies of: slices of a weight are not kept."""
    numbers, fusion = num_weights(config), config.fusion
    sliced = fusion.depth - fusion.depth // 2 * fusion.alternate
    return numbers.encoder + numbers.fusion - in_parts * sliced * 3 * fusion.width**2


def _head_bytes(config: Fast3RConfig, workload: Workload, at_once: int, item: int) -> int:
    """Return the working set of a chunk of the heads: its tokens, its maps and pointmaps."""
    patch = config.encoder.patch
    gathered = config.encoder.width + 3 * config.fusion.width
    maps = _head_floats(config.head, patch)
    # For each pixel the four channels, the world pointmap, and both pointmaps of the chunk before.
    kept = 12 if at_once < len(workload) else 4
    pixels = patch**2 * 4 * (item + kept)  # pointmaps are float32
    patches = workload.most_pixels(at_once) // patch**2
    return patches * (gathered * item + maps * item + pixels)


def _head_floats(head: HeadConfig, patch: int) -> int:
    """Return the numbers that a head holds for each patch at its widest place.

    It refines at 1/2, 1, 2, 4 and 8 times the resolution of the patches, then goes to pixels.
    """
    features, last = head.features, head.last_features
    maps = features * (16 + 4 + 1)
    pixels = patch**2
    last_doubling = (16 + 64) * features
    to_pixels = (64 + pixels) * last if patch != 8 else 0
    return maps + max(last_doubling, 64 * (features + last), to_pixels, 2 * pixels * last)
