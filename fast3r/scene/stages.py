"""What each stage of a run costs in time and memory, measured from outside."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch

from fast3r.scene.plan.plan import Plan


@dataclass(frozen=True)
class StageCost:
    """What one stage took."""

    name: str
    """What was done."""

    seconds: float
    """Wall-clock time, the device's work included."""

    host_peak_gib: float | None
    """Highest memory of the process since it started; None where the system does not tell."""

    device_peak_gib: float | None
    """Highest memory of tensors on the CUDA device during the stage; None elsewhere."""


class Watcher:
    """Told how far a run is; this one does nothing about it."""

    def told(self, line: str) -> None:
        """Learn something that the user should know."""

    def started(self, stage: str) -> None:
        """Learn that a stage begins."""

    def advanced(self, stage: str, done: int, steps: int) -> None:
        """Learn how many steps of a stage are done, of how many."""

    def ended(self, cost: StageCost) -> None:
        """Learn that a stage is over."""


class StageRecorder:
    """Measures the stages of a run, and tells a watcher how far they are."""

    def __init__(
        self, device: torch.device | str = "cpu", *, watcher: Watcher | None = None
    ) -> None:
        """Measure on the host and, where it is a CUDA device, on `device`."""
        self.costs: list[StageCost] = []
        """The stages that have ended."""
        self.lines: list[str] = []
        """What the user was told."""
        self.plan: Plan | None = None
        """What is being carried out, or was in the end."""
        self._device = torch.device(device)
        self._watcher = watcher or Watcher()

    def tell(self, line: str) -> None:
        """Tell the user something in one line, and remember it."""
        self.lines.append(line)
        self._watcher.told(line)

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Measure a block, and give it a function to tell how many of how many steps are done."""
        on_cuda = self._device.type == "cuda"
        if on_cuda:
            torch.cuda.reset_peak_memory_stats(self._device)
        self._watcher.started(name)
        start = time.perf_counter()
        yield partial(self._watcher.advanced, name)
        if on_cuda:
            torch.cuda.synchronize(self._device)
        seconds = time.perf_counter() - start
        device_peak = torch.cuda.max_memory_allocated(self._device) / 2**30 if on_cuda else None
        self.costs.append(StageCost(name, seconds, _host_peak_gib(), device_peak))
        self._watcher.ended(self.costs[-1])


def _host_peak_gib() -> float | None:
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20
