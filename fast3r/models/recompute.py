"""Gradient checkpointing (Chen et al. 2016): activations computed again instead of kept."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.utils.checkpoint import checkpoint, noop_context_fn

from fast3r.models.attention import AttentionKernel, attention_kernels

Part = Literal["encoder", "fusion", "heads"]
"""A part of the model that can do without keeping its activations for the backward pass."""

Caller = Callable[..., Any]
"""Takes a function, its inputs and its keyword arguments, and returns what the function makes."""


def directly(function: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """Call a function as it is: what its backward pass needs is kept."""
    return function(*inputs, **options)


@dataclass(frozen=True)
class Recomputed:
    """Calls a function now, and once more when its backward pass begins.

    Only its inputs are kept. The function must not draw random numbers.
    """

    kernel: AttentionKernel
    """Of the first call: the second one is made outside of the context that chose it."""

    device: torch.device
    """Where the function works."""

    def __call__(self, function: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
        """Return what the function makes of the inputs and options."""
        return checkpoint(
            function,
            *inputs,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=noop_context_fn if torch.compiler.is_compiling() else self._contexts,
            **options,
        )

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        # Kernels keep different things for the backward pass, and torch refuses a second call
        # that keeps other things than the first.
        return nullcontext(), attention_kernels(self.kernel, self.device)
