"""Optimisers: AdamW, or Muon for the matrices of the transformer and AdamW for all else."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from fast3r.models.fast3r import Fast3R
from fast3r.training.config import OptimizerConfig


@dataclass(frozen=True)
class Optimizers:
    """What updates the weights."""

    optimizers: list[torch.optim.Optimizer]
    """One or two; each parameter that is trained is in exactly one."""

    peaks: list[float]
    """Learning rate of each at the top of the schedule."""

    names: list[str]
    """Of each, for the log."""

    def set_rate(self, factor: float) -> None:
        """Set the learning rates to the peaks times a factor."""
        for optimizer, peak in zip(self.optimizers, self.peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * factor


def make_optimizers(
    config: OptimizerConfig, model: Fast3R, others: Iterable[nn.Parameter], *, fused: bool
) -> Optimizers:
    """Return what updates all parameters that need a gradient.

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
        muon = _muon(matrices, config.muon_learning_rate, decay)
        adam = _adamw([{"params": rest, "weight_decay": rest_decay}], config, fused)
        return Optimizers(
            [muon, adam], [config.muon_learning_rate, config.learning_rate], ["muon", "adamw"]
        )
    groups = [{"params": matrices, "weight_decay": decay}]
    groups += [{"params": rest, "weight_decay": rest_decay}]
    return Optimizers([_adamw(groups, config, fused)], [config.learning_rate], ["adamw"])


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
