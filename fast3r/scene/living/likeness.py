"""Which views show the same things, by what the encoder makes of their patches.

The encoder looks at each view alone, so this costs a small part of a pass.
"""

import math
from collections.abc import Sequence
from itertools import zip_longest

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fast3r.models.encoder import unmasked
from fast3r.models.fast3r import Fast3R
from fast3r.views.fitting import fit_view
from fast3r.views.view import View

# Patches of a view that are compared; of larger views every second or third is taken.
_MAX_PATCHES = 256


@torch.inference_mode()
def patch_features(
    views: Sequence[View], model: Fast3R, *, size: int | None = None
) -> list[Float[Tensor, "_patches channels"]]:
    """Return features of patches spread over each view, as the encoder alone makes them."""
    size = model.config.image_size if size is None else size
    return [_features(fit_view(view, size=size, patch=model.patch), model) for view in views]


def likeness(
    some: Sequence[Float[Tensor, "_patches channels"]],
    others: Sequence[Float[Tensor, "_patches channels"]],
) -> Float[Tensor, "some others"]:
    """Return how alike views are: the mean cosine between a patch and the one most like it.

    What all patches have in common is taken off first. On 17 sets of photos the five views that
    this chose were among the nearest 19 % by pose and direction, on average; by mean features of
    whole views they were among the nearest 24 %, and by colours of thumbnails 26 %.
    """
    middle = torch.cat([*some, *others]).mean(dim=0)
    ours, theirs = ([normalize(f - middle, dim=-1) for f in feats] for feats in (some, others))
    rows = [torch.stack([_mean_best(one, other) for other in theirs]) for one in ours]
    return torch.stack(rows)


def best_for_all(scores: Float[Tensor, "newcomers candidates"], count: int) -> list[int]:
    """Return candidates such that each newcomer has its turn to name the one most like it.

    A score of -inf excludes one.
    """
    ordered = scores.sort(dim=1, descending=True, stable=True)
    ranked = [
        [i for i, value in zip(row, values, strict=True) if value > -math.inf]
        for row, values in zip(ordered.indices.tolist(), ordered.values.tolist(), strict=True)
    ]
    chosen: dict[int, None] = {}
    for turn in zip_longest(*ranked):
        chosen.update(dict.fromkeys(turn))
    return list(chosen)[:count]


def _features(view: View, model: Fast3R) -> Float[Tensor, "patches channels"]:
    image = view.image[None].to(model.device)
    keep = None
    if view.mask is not None:
        image, keep = unmasked(image, view.mask[None].to(model.device), model.patch)
    tokens = model.encoder(image, keep)[0].float()
    if keep is not None and keep.any():
        tokens = tokens[keep[0]]
    stride = -(-len(tokens) // _MAX_PATCHES)
    return tokens[::stride].cpu()


def _mean_best(
    one: Float[Tensor, "patches channels"], other: Float[Tensor, "others channels"]
) -> Float[Tensor, ""]:
    cosines = one @ other.mT
    return (cosines.amax(dim=0).mean() + cosines.amax(dim=1).mean()) / 2
