"""Memory that this process has and may still take, of the host and of devices."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import torch


def host_memory_gib() -> tuple[float | None, float | None]:
    """Return free and all memory of the host, or of the container that this runs in."""
    free = free_host_bytes()
    if free is None:
        return None, None
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    total = min([total, *(limit for limit, _ in _group_memory())])
    return free / 2**30, total / 2**30


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
