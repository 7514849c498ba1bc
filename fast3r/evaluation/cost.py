"""What a case costs in time and memory, measured from outside."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Cost:
    """Filled when the measured block is over."""

    seconds: float = 0.0
    """Wall-clock time, the device's work included."""

    host_peak_gib: float | None = None
    """Highest memory of this process during the block; None where the system does not tell."""

    device_peak_gib: float | None = None
    """Highest memory of tensors on CUDA devices during the block; None without any."""


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure a block, also one that raises."""
    cost = Cost()
    cuda = _cuda_devices()
    for device in cuda:
        _cuda().reset_peak_memory_stats(device)
    resettable = _reset_host_peak()
    start = time.perf_counter()
    try:
        yield cost
    finally:
        for device in cuda:
            _cuda().synchronize(device)
        cost.seconds = time.perf_counter() - start
        cost.host_peak_gib = _host_peak_gib() if resettable else None
        if cuda:
            cost.device_peak_gib = sum(_cuda().max_memory_allocated(d) for d in cuda) / 2**30


def lifetime_peak_gib() -> float | None:
    """Return the highest memory of this process since it started; None where it is not told."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20


def _reset_host_peak() -> bool:
    # Only Linux can forget the peak: https://docs.kernel.org/filesystems/proc.html
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _host_peak_gib() -> float | None:
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 2**20
    return None


def _cuda() -> ModuleType:
    import torch

    return torch.cuda


def _cuda_devices() -> list[int]:
    # A method without torch must not pay for its import.
    if "torch" not in sys.modules or not _cuda().is_available():
        return []
    return list(range(_cuda().device_count()))
