"""Low-rank adapters: fine-tuning that trains little beside each large matrix (Hu et al. 2022).

A matrix W stays as it is, and W + scale * up @ down takes its place. `up` begins at zero, so that
training begins with exactly the model that it was given.
"""

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, get_args

import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fast3r.models.fast3r import Fast3R
from fast3r.models.low_rank import folded, merged_state_dict

Layer = Literal["qkv", "proj", "fc1", "fc2"]
"""A linear layer of a transformer block: two of the attention, two of the MLP."""

Stack = Literal["encoder", "fusion"]
"""A stack of transformer blocks."""


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


def add_lora(
    model: Fast3R,
    *,
    rank: int = 16,
    alpha: float = 16.0,
    layers: Collection[Layer] = get_args(Layer),
    stacks: Collection[Stack] = get_args(Stack),
    train_heads: bool = False,
) -> None:
    """Freeze a model, and give its transformer blocks adapters to train.

    Args:
        model: Changed in place.
        rank: Width of the adapters.
        alpha: Adapters count by alpha / rank.
        layers: Layers of each block that get one.
        stacks: Stacks whose blocks do.
        train_heads: Train all weights of the heads as well.

    Raises:
        ValueError: The model has adapters already, or a choice leaves nothing to adapt.
    """
    _check_plain(model)
    if rank < 1:
        raise ValueError(f"the rank of adapters must be at least 1, got {rank}")
    _check_choices("layers", layers, get_args(Layer))
    _check_choices("stacks", stacks, get_args(Stack))
    model.requires_grad_(False)
    for stack in stacks:
        for number in range(len(getattr(model, stack).blocks)):
            for layer in layers:
                _wrap(model, f"{stack}.blocks.{number}.{layer}", rank, alpha)
    for head in (model.world_head, model.local_head):
        if train_heads and head is not None:
            head.requires_grad_(True)


def merge_lora(model: Fast3R) -> None:
    """Fold the adapters into the matrices, which leaves a plain model with nothing frozen."""
    state = merged_state_dict(model.state_dict())
    for name, layer in _adapted(model).items():
        model.set_submodule(name, layer.frozen)
    model.load_state_dict(state)
    model.requires_grad_(True)


def lora_state_dict(model: Fast3R) -> dict[str, Tensor]:
    """Return what training changes: the adapters, and the heads where they are trained."""
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    scales = {f"{name}.scale": layer.scale for name, layer in _adapted(model).items()}
    return trained | scales


def save_lora(model: Fast3R, path: str | Path) -> None:
    """Write what `lora_state_dict` returns as safetensors: some megabytes instead of gigabytes.

    Raises:
        ValueError: The model has no adapters.
    """
    if not _adapted(model):
        raise ValueError("the model has no adapters to save; give it some with add_lora")
    tensors = {name: tensor.cpu().contiguous() for name, tensor in lora_state_dict(model).items()}
    save_file(tensors, path)


def load_lora(model: Fast3R, path: str | Path) -> None:
    """Give a plain model the adapters that `save_lora` wrote, and the heads that go with them.

    Args:
        model: The one that the adapters were trained beside; changed in place, with all frozen
            that is not in the file.
        path: The file.

    Raises:
        ValueError: They are adapters of a model of another shape.
    """
    _check_plain(model)
    tensors = load_file(path)
    _check_fit(model, tensors, path)
    model.requires_grad_(False)
    for name, tensor in tensors.items():
        if name.endswith(".down"):
            _wrap(model, name.removesuffix(".down"), tensor.shape[0], alpha=0)
    model.load_state_dict(tensors, strict=False)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in tensors)


def _wrap(model: Fast3R, name: str, rank: int, alpha: float) -> None:
    linear = model.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    model.set_submodule(name, LoraLinear(linear, rank, alpha))


def _adapted(model: Fast3R) -> dict[str, LoraLinear]:
    return {name: m for name, m in model.named_modules() if isinstance(m, LoraLinear)}


def _check_plain(model: Fast3R) -> None:
    if _adapted(model):
        raise ValueError("the model has adapters already; fold them in with merge_lora first")


def _check_choices(name: str, chosen: Collection[str], known: Collection[str]) -> None:
    if not chosen or set(chosen) - set(known):
        raise ValueError(f"{name} must be some of {', '.join(known)}, got {list(chosen)}")


def _check_fit(model: Fast3R, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        outputs, inputs = shapes.get(f"{layer}.weight", (0, 0))[:2]
        of_adapter = {"down": (*tensor.shape[:1], inputs), "up": (outputs, *tensor.shape[1:])}
        wanted = () if kind == "scale" else of_adapter.get(kind, shapes.get(name))
        if tensor.shape != wanted:
            found = "x".join(map(str, tensor.shape))
            raise ValueError(f"{path} is not of this model: {name} is {found}, not {wanted}")
