"""Number formats, and where bfloat16 is faster than float32."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]
"""Of weights, or of the work with them."""

# As Linux names them: dot products of bfloat16 since AMD Zen 4 and Intel Cooper Lake, and the tile
# registers of Intel Sapphire Rapids.
_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies matrices of bfloat16 faster than those of float32.

    CUDA devices do since Ampere. Of processors those count that say so under Linux, with a torch
    that has oneDNN to make use of it; others compute in float32 what is stored in bfloat16, and
    lose time. On MPS it has not been measured.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return torch.backends.mkldnn.is_available() and bool(_CPU_FLAGS & _processor_flags())
    return False


@lru_cache
def _processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return what the first processor of the system can do; nothing where it is not told."""
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    flags = re.search(r"^flags\s*: (.*)$", text, flags=re.MULTILINE)
    return frozenset(flags[1].split()) if flags else frozenset()
