"""How fast this machine is at the moment: a probe of well under a second.

Measured are the four things that a run consists of, with the widths of the model at hand, since
narrow matrices are slower than wide ones. What else runs on the machine slows the probe down as it
will slow down the run.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from fast3r.models.config import Fast3RConfig
from fast3r.scene.machine import Precision


@dataclass(frozen=True)
class Rates:
    """What a device does per second."""

    linear: float
    """Floating-point operations of an MLP of the fusion's width, its activation included."""

    attention: float
    """Floating-point operations of scaled dot-product attention."""

    convolution: float
    """Floating-point operations of 3x3 convolutions of the heads' width, in float32."""

    copy: float
    """Bytes read and written by a copy of float32 numbers within the device's memory."""


_measured: dict[tuple[Fast3RConfig, str, Precision, int], Rates] = {}


def known_rates(config: Fast3RConfig, device: torch.device, precision: Precision) -> Rates | None:
    """Return what `measure_rates` found in this process, None if it was not asked."""
    return _measured.get((config, str(device), precision, torch.get_num_threads()))


def measure_rates(
    config: Fast3RConfig,
    device: torch.device,
    precision: Precision,
    *,
    again: bool = False,
    seconds: float = 0.06,
    clock: Callable[[], float] = time.perf_counter,
) -> Rates:
    """Return the rates of a device for a model.

    Args:
        config: Shape of the model.
        device: What to measure.
        precision: Of encoder and fusion.
        again: Measure even if that was done in this process before.
        seconds: For each of four measurements; the median of what fits into them counts.
        clock: Tells seconds.
    """
    known = known_rates(config, device, precision)
    if known is not None and not again:
        return known
    probe = _Probe(device, seconds, clock)
    width, heads = config.fusion.width, config.fusion.heads
    with torch.no_grad():
        rates = Rates(
            linear=_linear_rate(probe, width, precision),
            attention=_attention_rate(probe, width, heads, precision),
            convolution=_convolution_rate(probe, config.head.features),
            copy=_copy_rate(probe),
        )
    _measured[config, str(device), precision, torch.get_num_threads()] = rates
    return rates


@dataclass(frozen=True)
class _Probe:
    device: torch.device
    seconds: float
    clock: Callable[[], float]

    def seconds_of(self, work: Callable[[], object]) -> float:
        """Return how long some work takes once it is warm: the median of several times."""
        work()
        taken: list[float] = []
        while sum(taken) < self.seconds and len(taken) < 100:
            self._wait()
            begun = self.clock()
            work()
            self._wait()
            taken.append(self.clock() - begun)
        return max(sorted(taken)[len(taken) // 2], 1e-9)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()


def _linear_rate(probe: _Probe, width: int, precision: Precision) -> float:
    device = probe.device
    tokens = 512 if device.type == "cpu" else 8192
    x = torch.randn(1, tokens, width, device=device)
    x = x.to(torch.bfloat16 if precision == "bfloat16" else torch.float32)
    norm = torch.nn.LayerNorm(width, device=device)
    up = torch.nn.Linear(width, 4 * width, device=device)
    down = torch.nn.Linear(4 * width, width, device=device)
    autocast = torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else None
    with autocast or nullcontext():
        seconds = probe.seconds_of(lambda: down(F.gelu(up(norm(x)))))
    return 2 * 2 * tokens * width * 4 * width / seconds


def _attention_rate(probe: _Probe, width: int, heads: int, precision: Precision) -> float:
    device = probe.device
    asking, seen = (256, 2048) if device.type == "cpu" else (4096, 16384)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    queries, keys, values = (
        torch.randn(1, tokens, heads, width // heads, device=device, dtype=dtype).transpose(1, 2)
        for tokens in (asking, seen, seen)
    )
    seconds = probe.seconds_of(lambda: F.scaled_dot_product_attention(queries, keys, values))
    return 4 * asking * seen * width / seconds


def _convolution_rate(probe: _Probe, features: int) -> float:
    device = probe.device
    side = 64 if device.type == "cpu" else 256
    maps = torch.randn(1, features, side, side, device=device)
    convolution = torch.nn.Conv2d(features, features, 3, padding=1, device=device)
    maps = maps.to(memory_format=torch.channels_last)
    convolution.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    seconds = probe.seconds_of(lambda: convolution(maps))
    return 2 * 9 * features**2 * side**2 / seconds


def _copy_rate(probe: _Probe) -> float:
    device = probe.device
    # Larger than any cache.
    source = torch.zeros(2**23 if device.type == "cpu" else 2**28, device=device)
    target = torch.ones_like(source)
    return 2 * source.nbytes / probe.seconds_of(lambda: target.copy_(source))
