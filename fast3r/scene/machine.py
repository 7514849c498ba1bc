"""What this machine has: devices, memory, installed extras, and how many views would fit."""

import os
import platform
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch

from fast3r.models.attention import kernel_order
from fast3r.models.config import Fast3RConfig
from fast3r.models.fast3r import Chunks
from fast3r.models.precision import has_fast_bfloat16
from fast3r.scene.plan.memory import Formats, count
from fast3r.scene.plan.workload import Workload

Precision = Literal["float32", "bfloat16"]

EXTRAS = {
    "viewer": ("viser",),
    "media": ("av", "pillow_heif"),
    "export": ("laspy", "lazrs"),
    "mesh": ("skimage",),
    "masks": ("transformers", "gradio"),
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
    # On the CPU it would change results for a gain that depends on the machine: doctor tells it.
    fast = device.type == "cuda" and has_fast_bfloat16(device)
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
    """Memory as a straight line over the number of views."""

    fixed_gib: float
    """Weights, and the heads at work."""

    per_view_gib: float
    """What each further view adds."""

    def views_within(self, memory_gib: float) -> int:
        """Return how many views fit."""
        return max(0, int((memory_gib - self.fixed_gib) / self.per_view_gib))


def estimate_memory(config: Fast3RConfig, *, size: int, precision: Precision) -> MemoryNeed:
    """Return about how much memory square views of `size` pixels need, as a straight line.

    The line through the counts by hand for 1000 and 2000 views, with pixels and pointmaps.
    """
    formats = Formats(tokens=2 if precision == "bfloat16" else 4)
    counts = [
        count(config, Workload.uniform(n, (size, size), config.encoder.patch), Chunks(), formats)
        for n in (1, 1000, 2000)
    ]
    one, fewer, more = (counted.peak for counted in counts)
    per_view = (more - fewer) / 1000
    fixed = max(fewer - 1000 * per_view, one - per_view)
    outputs = 3 + 16 * (2 if config.head.local else 1)
    return MemoryNeed(fixed / 2**30, (per_view + outputs * size**2) / 2**30)


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


def free_host_bytes() -> int | None:
    """Return what this process may still take of the host's memory; None where it is not told.

    The least of what the system has, what is left to the container (control groups of both
    versions), and what `ulimit` leaves.
    """
    if sys.platform in ("win32", "darwin"):
        return None
    limits = [_available_bytes(), *(limit - used for limit, used in _group_memory())]
    return max(0, min(limits + _left_by_ulimit()))


def resident_bytes() -> int:
    """Return the memory that this process has now; where that is not told, the most it had."""
    if sys.platform == "win32":
        return 0
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def free_device_bytes(device: torch.device) -> int | None:
    """Return what tensors may still take of a CUDA device; None where it is not told."""
    if device.type != "cuda":
        return None
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + idle


def _host_memory_gib() -> tuple[float | None, float | None]:
    """Return free and all memory of the host, or of the container that this runs in."""
    free = free_host_bytes()
    if free is None:
        return None, None
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    total = min([total, *(limit for limit, _ in _group_memory())])
    return free / 2**30, total / 2**30


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _group_memory(root: Path = Path("/")) -> list[tuple[int, int]]:
    """Return limit and use of each control group that this process is in and that has a limit."""
    found = []
    for folder in _group_folders(root):
        for limit_file, use_file in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            with suppress(OSError, ValueError):  # "max", or not of this version
                limit = int((folder / limit_file).read_text())
                used = int((folder / use_file).read_text()) - _cached_bytes(folder)
                found.append((limit, max(0, used)))
    return found


def _group_folders(root: Path) -> list[Path]:
    """Return the folders of this process's groups and of all groups that these are part of."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    folders = []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers not in ("", "memory"):
            continue
        top = root / "sys/fs/cgroup" / controllers
        # Inside a container the own group may be what is mounted at the top.
        own = top / path.lstrip("/")
        folders += [folder for folder in (own, *own.parents) if folder.is_relative_to(top)]
    return folders


def _cached_bytes(folder: Path) -> int:
    """Return what a group uses for files that were read, and gives back when it must."""
    numbers = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    names = ("inactive_file", "active_file")
    return sum(int(numbers.get(f"total_{name}", numbers.get(name, 0))) for name in names)


def _left_by_ulimit() -> list[int]:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return []
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return [soft - taken]
