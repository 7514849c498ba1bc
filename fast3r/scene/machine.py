"""What this machine has: devices, memory, and installed extras."""

import platform
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch

from fast3r.models.attention import kernel_order
from fast3r.models.precision import Precision, has_fast_bfloat16
from fast3r.scene.free_memory import host_memory_gib

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
        devices=[_described(device) for device in _present_devices()],
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


def _described(device: torch.device) -> Device:
    free = total = None
    if device.type == "cuda":
        free, total = (amount / 2**30 for amount in torch.cuda.mem_get_info(device))
    elif device.type == "cpu":
        free, total = host_memory_gib()
    kernels = kernel_order("auto", device) if device.type == "cuda" else []
    return Device(
        name=str(device),
        hardware=hardware_name(device),
        memory_gib=total,
        free_gib=free,
        precision=choose_precision("auto", device),
        attention=tuple(kernel.name.lower() for kernel in kernels) or ("torch's own",),
    )
