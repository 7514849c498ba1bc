"""Low-rank changes beside the matrices of a model, folded into them (Hu et al. 2022)."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor


def folded(
    weight: Float[Tensor, "outputs inputs"],
    up: Float[Tensor, "outputs rank"],
    down: Float[Tensor, "rank inputs"],
    scale: Float[Tensor, ""],
) -> Float[Tensor, "outputs inputs"]:
    """Return weight + scale * up @ down, rounded once.

    Half precision would lose small changes if it were rounded on the way.
    """
    exact = torch.promote_types(weight.dtype, torch.float32)
    change = scale.to(exact) * (up.to(exact) @ down.to(exact))
    return (weight.to(exact) + change).to(weight.dtype)


def merged_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a plain model from those of one with adapters, or with none.

    They may be those of a training checkpoint: what comes before the names of layers is kept.
    """
    plain = dict(state)
    for name in state:
        layer = name.removesuffix(".frozen.weight")
        if layer == name:
            continue
        parts = [plain.pop(f"{layer}.{part}") for part in ("frozen.weight", "up", "down", "scale")]
        plain[f"{layer}.weight"] = folded(*parts)
        if f"{layer}.frozen.bias" in plain:
            plain[f"{layer}.bias"] = plain.pop(f"{layer}.frozen.bias")
    return plain
