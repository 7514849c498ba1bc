"""Optimisers, AdamW or Muon for the matrices of the transformer, and their learning rates."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import nn

from fast3r.models.fast3r import Fast3R
from fast3r.training.config import OptimizerConfig


def make_optimizers(
    config: OptimizerConfig, model: Fast3R, others: Iterable[nn.Parameter], *, fused: bool
) -> dict[str, torch.optim.Optimizer]:
    """Return by name what updates the parameters that need a gradient, each of them in one place.

    Args:
        config: Kind, rates and decay.
        model: The network.
        others: Parameters beside it that are trained with it.
        fused: Whether AdamW updates all parameters in one kernel.

    Raises:
        ValueError: This torch has no Muon.
    """
    blocks = [*model.encoder.blocks, *model.fusion.blocks]
    trained = [p for p in [*model.parameters(), *others] if p.requires_grad]
    matrices = [p for b in blocks for p in b.parameters() if p.ndim == 2 and p.requires_grad]
    chosen = {id(p) for p in matrices}
    rest = [p for p in trained if id(p) not in chosen]
    decay = config.weight_decay
    rest_decay = decay if config.decay == "all" else 0.0
    if config.name == "muon":
        groups = [{"params": rest, "weight_decay": rest_decay}]
        return {
            "muon": _muon(matrices, config.muon_learning_rate, decay),
            "adamw": _adamw(groups, config, fused),
        }
    groups = [{"params": matrices, "weight_decay": decay}]
    groups += [{"params": rest, "weight_decay": rest_decay}]
    return {"adamw": _adamw(groups, config, fused)}


def set_rates(optimizers: Mapping[str, torch.optim.Optimizer], factor: float) -> dict[str, float]:
    """Set the learning rates to a factor of those that optimisers were made with; return them."""
    rates = {name: optimizer.defaults["lr"] * factor for name, optimizer in optimizers.items()}
    for name, optimizer in optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = rates[name]
    return rates


def rate_factor(share: float, *, warmup: float, end: float, tick: float = 0.0) -> float:
    """Return what the peak learning rate is multiplied with: a linear rise, then half a cosine.

    With `tick` 1 / steps the rates are those of the paper's run: 0 at the first step, the peak at
    the last step of the warm-up.

    Args:
        share: Of the run that is done, in steps or in time; in [0, 1].
        warmup: Share over which the rate rises.
        end: The factor at the end of the run.
        tick: Share of one step; 0 where the run is measured in time.
    """
    if share < warmup:
        return min(1.0, share / max(warmup - tick, 1e-12))
    place = min(1.0, (share - warmup) / max(1 - warmup, 1e-12))
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * place))


def _muon(matrices: list[nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
    """Return Muon (Jordan et al., 2024) with updates as large as AdamW's (Liu et al., 2025)."""
    if not hasattr(torch.optim, "Muon"):
        raise ValueError(
            f"optimizer.name=muon needs torch 2.9 or later, this is {torch.__version__}; "
            "take optimizer.name=adamw"
        )
    return torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")


def _adamw(groups: list[dict], config: OptimizerConfig, fused: bool) -> torch.optim.Optimizer:
    kept = [group for group in groups if group["params"]]
    return torch.optim.AdamW(kept, lr=config.learning_rate, betas=config.betas, fused=fused)
