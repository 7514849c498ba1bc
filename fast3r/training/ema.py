"""Averaged weights: validated, and stored where whoever loads a checkpoint finds them.

Weights that training moves to and fro are better in the mean (Polyak & Juditsky 1992).
"""

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, SingleDeviceStrategy
from torch import Tensor, nn

RAW_WEIGHTS = "weights_in_training"
"""Entry of a checkpoint with what training goes on from, by name; `state_dict` holds averages."""


class WeightAveraging(pl.Callback):
    """Keeps an exponential moving average of all weights that are trained.

    It begins fast, for that of the first steps is soon outdated: after n updates, the average
    moves by the larger of 1 - decay and 9 / (10 + n) towards the weights.

    Averages are stored in at least float32. Callbacks that write checkpoints come after this one.
    """

    def __init__(self, decay: float = 0.999) -> None:
        """Choose how much of the average stays at each update.

        Raises:
            ValueError: It is not within 0 and 1.
        """
        if not 0 <= decay < 1:
            raise ValueError(
                f"the decay of averaged weights must be from 0 to below 1, got {decay}"
            )
        self.decay = decay
        self.updates = 0
        self.averages: dict[str, Tensor] = {}
        self._raw: dict[str, Tensor] = {}
        self._step = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse what cannot be averaged.

        Raises:
            ValueError: A device does not hold the whole model.
        """
        strategy = trainer.strategy
        whole = isinstance(strategy, DDPStrategy | SingleDeviceStrategy)
        if not whole or isinstance(strategy, DeepSpeedStrategy):
            raise ValueError(
                "averaged weights need the whole model on each device: choose strategy ddp, or "
                "leave them out"
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the weights as they are, where no checkpoint said otherwise."""
        begun, self.averages = self.averages, {}
        for name, parameter in _trained(pl_module).items():
            average = begun.get(name, parameter)
            exact = torch.promote_types(parameter.dtype, torch.float32)
            self.averages[name] = average.detach().to(parameter.device, exact, copy=True)
        self._step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the averages, if the weights have moved."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        stays = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages, parameters = list(self.averages.values()), _trained(pl_module)
        weights = [parameters[name].detach().to(a.dtype) for name, a in self.averages.items()]
        torch._foreach_lerp_(averages, weights, 1 - stays)
        self.updates += 1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the averages into the network."""
        parameters = _trained(pl_module)
        self._raw = {name: parameters[name].detach().clone() for name in self.averages}
        _copy(self.averages, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights back, to the bit."""
        _copy(self._raw, pl_module)
        self._raw = {}

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Put the weights back where a validation broke off."""
        self.on_validation_end(trainer, pl_module)

    def state_dict(self) -> dict[str, int]:
        """Return what a checkpoint stores besides weights."""
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on from what a checkpoint stored."""
        self.updates = state_dict["updates"]

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store the averages as the weights, and those in training beside them."""
        weights = checkpoint["state_dict"]
        raw = {name: self._raw.get(name, weights[name]) for name in self.averages}
        checkpoint["state_dict"] = weights | self.averages
        checkpoint[RAW_WEIGHTS] = raw

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from both; what is only validated keeps the averages."""
        if trainer.state.fn == "fit" and RAW_WEIGHTS in checkpoint:
            raw = checkpoint[RAW_WEIGHTS]
            self.averages = {name: checkpoint["state_dict"][name] for name in raw}
            _copy(raw, pl_module)


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


@torch.no_grad()
def _copy(weights: dict[str, Tensor], module: nn.Module) -> None:
    for name, tensor in weights.items():
        module.get_parameter(name).copy_(tensor)
