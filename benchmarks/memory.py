"""Memory of one forward pass: measured on the CPU, and counted by hand."""

import weakref
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fast3r.models.config import HeadConfig
from fast3r.models.fast3r import Chunks, Fast3R


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of all tensors that operators make, until they are freed.

    What existed before, such as weights, is not counted, nor is scratch space inside an operator.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = self.live = 0
        self._watched: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run the operator, then look at what it made."""
        known = {storage._cdata for storage in _storages((args, kwargs))}
        made = func(*args, **(kwargs or {}))
        for storage in _storages(made):
            if storage._cdata not in known and storage._cdata not in self._watched:
                self._watch(storage)
        self.peak = max(self.peak, self.live)
        return made

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()

        def forget(_: object) -> None:
            self.live -= size
            del self._watched[key]

        self.live += size
        self._watched[key] = weakref.ref(storage, forget)


def _storages(values: object) -> list[torch.UntypedStorage]:
    return [x.untyped_storage() for x in tree_leaves(values) if isinstance(x, Tensor)]


@dataclass(frozen=True)
class Count:
    """Bytes that a forward pass needs, by hand. The caller's images and outputs are left out."""

    weights: int
    """All parameters."""

    levels: int
    """The four levels of tokens that the heads read."""

    keys_values: int
    """Keys and values of one layer."""

    peak: int
    """The most that is alive at any time: weights, and the largest of the stages, each with the
    working set of its chunk."""

    @property
    def needed(self) -> int:
        """What must exist at the peak however small the chunks are."""
        return self.weights + self.levels + self.keys_values


def count(model: Fast3R, views: int, size: tuple[int, int], chunks: Chunks) -> Count:
    """Return the bytes that `views` images of one size need when no gradients are recorded."""
    encoder, fusion = model.config.encoder, model.config.fusion
    item = next(model.parameters()).element_size()
    weights = sum(p.numel() for p in model.parameters()) * item
    patches = size[0] * size[1] // model.patch**2
    tokens = views * patches
    encoded = min(chunks.encoder_views, views) * patches
    fused = min(chunks.fusion_tokens, tokens)
    first_level = tokens * encoder.width * item
    levels = first_level + 3 * tokens * fusion.width * item
    keys_values = 2 * tokens * fusion.width * item
    stages = [
        # An MLP holds its hidden layer twice: before and after the activation.
        first_level + int(2 * encoder.mlp_ratio * encoded * encoder.width) * item,
        levels + int(2 * fusion.mlp_ratio * fused * fusion.width) * item,
        # Attention holds queries, what they have seen, and the projection of that.
        levels + keys_values + 3 * fused * fusion.width * item,
        levels + _head_bytes(model, views, patches, chunks.head_views),
    ]
    return Count(weights, levels, keys_values, peak=weights + max(stages))


def _head_bytes(model: Fast3R, views: int, patches: int, at_once: int) -> int:
    """Return the working set of a chunk of the heads: its tokens, its maps and pointmaps."""
    item = next(model.parameters()).element_size()
    gathered = model.config.encoder.width + 3 * model.config.fusion.width
    maps = _head_floats(model.config.head, model.patch) * item
    # For each pixel the four channels, the world pointmap, and both pointmaps of the chunk before.
    kept = 12 if at_once < views else 4
    pixels = model.patch**2 * 4 * (item + kept)  # pointmaps are float32
    return min(at_once, views) * patches * (gathered * item + maps + pixels)


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
