"""Low-rank adapters: fine-tuning that trains little beside each large matrix (Hu et al. 2022).

A matrix W stays as it is, and W + scale * up @ down takes its place. `up` begins at zero, so that
training begins with exactly the model that it was given.
"""

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fast3r.models.fast3r import Fast3R
from fast3r.models.low_rank import folded
from fast3r.training.config import LoraConfig


class LoraLinear(nn.Module):
    """A linear layer that stays as it is, with an adapter beside it that learns."""

    scale: Tensor

    def __init__(self, frozen: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.frozen = frozen.requires_grad_(False)
        make = frozen.weight.new_empty
        self.down = nn.Parameter(make(rank, frozen.in_features))
        self.up = nn.Parameter(make(frozen.out_features, rank).zero_())
        # A buffer, so that what is saved is whole.
        self.register_buffer("scale", make(()).fill_(alpha / rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    @property
    def weight(self) -> Float[Tensor, "outputs inputs"]:
        """The matrix of a plain layer that does the same."""
        return folded(self.frozen.weight, self.up, self.down, self.scale)

    @property
    def bias(self) -> Float[Tensor, " outputs"] | None:
        """That of the plain layer."""
        return self.frozen.bias

    def forward(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Return what the plain layer and the adapter make of the inputs together."""
        return self.frozen(inputs) + self.scale * F.linear(F.linear(inputs, self.down), self.up)


def add_lora(model: Fast3R, config: LoraConfig) -> None:
    """Freeze a model, and give its transformer blocks adapters to train; it is changed in place."""
    model.requires_grad_(False)
    for stack in config.stacks:
        for block in getattr(model, stack).blocks:
            for layer in config.layers:
                linear = getattr(block, layer)
                setattr(block, layer, LoraLinear(linear, config.rank, config.alpha))
    for head in (model.world_head, model.local_head, model.match_head):
        if config.train_heads and head is not None:
            head.requires_grad_(True)
