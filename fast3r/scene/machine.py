"""What this machine has: devices, memory, installed extras, and how many views would fit."""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch

from fast3r.models.attention import kernel_order
from fast3r.models.config import Fast3RConfig
from fast3r.models.fast3r import Chunks, Fast3R

Precision = Literal["float32", "bfloat16"]

EXTRAS = {
    "viewer": ("viser",),
    "media": ("av", "pillow_heif"),
    "export": ("laspy", "lazrs"),
    "eval": ("scipy", "matplotlib"),
    "train": ("scipy", "matplotlib", "lightning", "hydra", "tensorboard", "submitit", "OpenEXR"),
    "refine": ("pycolmap",),
    "serve": ("fastapi", "uvicorn", "python_multipart"),
    "demo": ("viser", "av", "pillow_heif", "gradio"),
}
"""The modules that each extra of the package brings."""


@dataclass(frozen=True)
class Device:
    """Something that torch can compute on."""

    name: str
    """As `--device` takes it."""

    hardware: str
    """As its maker calls it."""

    memory_gib: float | None
    """All of its memory; None where it is not told."""

    free_gib: float | None
    """What is free at the moment; None where it is not told."""

    precision: Precision
    """What "auto" chooses there."""

    attention: tuple[str, ...]
    """Attention kernels in the order in which they are tried."""


@dataclass(frozen=True)
class Machine:
    """What this machine has."""

    system: str
    """Operating system and processor architecture."""

    python: str
    """Version of Python."""

    torch: str
    """Version of torch, with what it was built for."""

    cpu_threads: int
    """Threads that torch uses."""

    disk_free_gib: float
    """Free space where the command was started."""

    devices: list[Device]
    """The one that "auto" chooses comes first; the CPU last."""

    missing: dict[str, tuple[str, ...]]
    """For each extra, which of its modules are not installed."""


def survey() -> Machine:
    """Return what this machine has; no extra is imported."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=torch.__version__,
        cpu_threads=torch.get_num_threads(),
        disk_free_gib=shutil.disk_usage(Path.cwd()).free / 2**30,
        devices=_devices(),
        missing={
            extra: tuple(module for module in modules if find_spec(module) is None)
            for extra, modules in EXTRAS.items()
        },
    )


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" is the first CUDA device, else MPS, else the CPU.

    Raises:
        ValueError: The name means nothing, or this machine or this torch has no such device.
    """
    present = [str(device) for device in _present_devices()]
    if name == "auto":
        return torch.device(present[0])
    wanted = f"{name}:0" if name == "cuda" else name
    if wanted not in present:
        raise ValueError(
            f"device must be one of {', '.join(['auto', *present])} on this machine, got {name!r}"
            + _why_no_cuda(name)
        )
    return torch.device(wanted)


def choose_precision(wanted: Literal["auto"] | Precision, device: torch.device) -> Precision:
    """Return the number format for a device: "auto" is bfloat16 where CUDA hardware has it.

    Raises:
        ValueError: The name is unknown.
    """
    if wanted not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"precision must be auto, float32 or bfloat16, got {wanted!r}")
    if wanted != "auto":
        return wanted
    # Before Ampere bfloat16 is emulated, and slower than float32.
    fast = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return "bfloat16" if fast else "float32"


def hardware_name(device: torch.device) -> str:
    """Return what the maker calls a device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class MemoryNeed:
    """Device memory as a straight line over the number of views; counted by hand, an estimate."""

    fixed_gib: float
    """Weights, and the heads at work."""

    per_view_gib: float
    """What each further view adds."""

    def views_within(self, memory_gib: float) -> int:
        """Return how many views fit."""
        return max(0, int((memory_gib - self.fixed_gib) / self.per_view_gib))


def estimate_memory(config: Fast3RConfig, *, size: int, precision: Precision) -> MemoryNeed:
    """Return about how much memory square views of `size` pixels need.

    Counted: the weights, and their copies in half precision; for each view the image, the four
    token levels that the heads read, keys and values of one layer, and the pointmaps; a chunk of
    tokens in a layer, or of views in the heads. The number 20 was measured: the small model on a
    CPU took 15 KiB for each token of a chunk. `benchmarks/forward.py` measures what is needed.
    """
    chunks, bytes_each = Chunks(), 2 if precision == "bfloat16" else 4
    width = config.fusion.width
    tokens = (size // config.encoder.patch) ** 2
    levels = config.encoder.width + 3 * width
    per_view = tokens * (levels + 2 * width) * bytes_each + 11 * size**2 * 4
    in_layer = 20 * width * chunks.fusion_tokens * bytes_each
    in_heads = 6 * config.head.last_features * size**2 * chunks.head_views * 4
    with torch.device("meta"):
        parameters = sum(weight.numel() for weight in Fast3R(config).parameters())
    weights = parameters * (6 if precision == "bfloat16" else 4)
    return MemoryNeed((weights + max(in_layer, in_heads)) / 2**30, per_view / 2**30)


def _present_devices() -> list[torch.device]:
    cuda = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    mps = [torch.device("mps")] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, torch.device("cpu")]


def _why_no_cuda(name: str) -> str:
    if not name.startswith("cuda") or torch.cuda.is_available():
        return ""
    if torch.version.cuda is None:
        return "; this torch was built without CUDA, see https://pytorch.org/get-started/locally"
    return "; no CUDA device is visible: check the driver with nvidia-smi"


def _devices() -> list[Device]:
    return [_described(device) for device in _present_devices()]


def _described(device: torch.device) -> Device:
    free = total = None
    if device.type == "cuda":
        free, total = (amount / 2**30 for amount in torch.cuda.mem_get_info(device))
    elif device.type == "cpu":
        free, total = _host_memory_gib()
    kernels = kernel_order("auto", device) if device.type == "cuda" else []
    return Device(
        name=str(device),
        hardware=hardware_name(device),
        memory_gib=total,
        free_gib=free,
        precision=choose_precision("auto", device),
        attention=tuple(kernel.name.lower() for kernel in kernels) or ("torch's own",),
    )


def _host_memory_gib() -> tuple[float | None, float | None]:
    """Return free and all memory of the host, or of the container that this runs in."""
    if sys.platform in ("win32", "darwin"):
        return None, None
    page = os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * page
    free = _available_bytes()
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        total, free = min(total, int(text)), min(free, int(text) - used)
    return free / 2**30, total / 2**30


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
