"""Operations and traffic of a pass, counted operator by operator as it runs."""

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

# The one operator of ours that torch has no formula for.
_CPU_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu

_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd


@dataclass
class Work:
    """What one stage does."""

    flop: float = 0.0
    """In matrix products, convolutions and attention; an addition and a multiplication are two."""

    moved_bytes: float = 0.0
    """All that operators read and write, wherever it lies. Scratch inside an operator is left out,
    and so are its second looks: attention is counted as reading keys and values once."""


class Counting(TorchDispatchMode):
    """Counts the work of the stage that `stage` names."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = ""
        self.stages: dict[str, Work] = defaultdict(Work)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run the operator and count it; one made of others is counted as those."""
        kwargs = kwargs or {}
        # Those with kernels in Python, such as interpolation, run as one all the same.
        one = func.overloadpacket in flop_registry or _COMPOSITE in func.py_kernels
        if not one:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        made = func(*args, **kwargs)
        if not func.is_view and "empty" not in func.__name__:
            work = self.stages[self.stage]
            work.moved_bytes += sum(_bytes(x) for x in tree_leaves((args, kwargs, made)))
            work.flop += _flop(func, args, kwargs, made)
        return made


def _flop(func, args: tuple, kwargs: dict, made: object) -> float:
    if func.overloadpacket == _CPU_ATTENTION:
        queries, keys = args[:2]
        return 4 * queries.numel() * keys.shape[-2]
    formula = flop_registry.get(func.overloadpacket)
    return 0 if formula is None else formula(*args, **kwargs, out_val=made)


def _bytes(value: object) -> int:
    """Return the size of a tensor; what is expanded to it from less counts as that."""
    if not isinstance(value, Tensor):
        return 0
    return min(value.numel() * value.element_size(), value.untyped_storage().nbytes())
