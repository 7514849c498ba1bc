"""Scaled dot-product attention: which kernel runs it.

The work is done by torch on every device; this module only chooses the order in which torch's
own kernels are tried. Nothing is chosen on CPU and MPS, where torch has one good kernel.
"""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch.nn import attention as torch_attention
from torch.nn.attention import SDPBackend, sdpa_kernel

AttentionKernel = Literal["auto", "cudnn", "flash", "efficient", "math", "fa3", "fa4"]

_BACKENDS = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}

# Absent before torch 2.6, where the order of the list is not respected.
_HAS_PRIORITY = "set_priority" in inspect.signature(sdpa_kernel).parameters


def kernel_order(kernel: AttentionKernel, device: torch.device) -> list[SDPBackend]:
    """Return torch's kernels in the order in which they are to be tried on `device`.

    With "auto", cuDNN comes first on Hopper and data-centre Blackwell, where it is the fastest,
    and flash elsewhere. A kernel chosen by name is the only one.
    """
    if kernel in _BACKENDS:
        return [_BACKENDS[kernel]]
    order = ["flash", "efficient", "cudnn", "math"]
    if kernel == "auto" and torch.cuda.get_device_capability(device) in [(9, 0), (10, 0)]:
        order = ["cudnn", "flash", "efficient", "math"]
    return [_BACKENDS[name] for name in order]


@contextlib.contextmanager
def attention_kernels(kernel: AttentionKernel, device: torch.device) -> Iterator[None]:
    """Run the attention inside with the wished kernel.

    Raises:
        ValueError: The name is unknown, or this torch does not offer the flash version.
    """
    if kernel not in get_args(AttentionKernel):
        raise ValueError(f"attention must be one of {get_args(AttentionKernel)}, got {kernel!r}")
    if kernel in ("fa3", "fa4"):
        _activate_flash(kernel.upper())
    if device.type != "cuda":
        yield
        return
    order = kernel_order(kernel, device)
    options = {"set_priority": True} if _HAS_PRIORITY else {}
    with sdpa_kernel(order, **options):
        yield


def _activate_flash(version: str) -> None:
    available = getattr(torch_attention, "list_flash_attention_impls", list)()
    if version not in available:
        raise ValueError(
            f"attention {version} needs a torch that offers it (2.13 or newer); torch "
            f"{torch.__version__} offers {available or 'none'}. Use 'auto' instead"
        )
    try:
        torch_attention.activate_flash_attention_impl(version)
    except ImportError as error:
        raise ValueError(f"attention {version} is not installed: {error}. Use 'auto'") from error
