"""What there is to do and what there is to do it with: looked up before a run is planned."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fast3r.models.config import Fast3RConfig
from fast3r.models.fast3r import Fast3R
from fast3r.models.sharing import SharedFast3R
from fast3r.scene.free_memory import free_device_bytes, free_host_bytes, resident_bytes
from fast3r.scene.plan.workload import Workload
from fast3r.views.lazy import LazyView
from fast3r.views.view import View

_SHARE = 0.85
"""Of the free memory that a plan may use: its error and what others take meanwhile are the rest."""


@dataclass(frozen=True)
class Situation:
    """What there is to do, and where."""

    config: Fast3RConfig
    """Shape of the model."""

    workload: Workload
    """The views at the size that was wanted."""

    device: torch.device
    """Where the network runs."""

    resident: int
    """Bytes of the process before it loads model and photos."""

    host_room: int | None
    """Bytes that the process may take in all; None where it is not told."""

    device_room: int | None
    """Bytes that the run may take of the device's own memory."""

    disk_room: int | None = None
    """Bytes that temporary files may take."""

    weight_bytes: int = 4
    """Of each weight of the model."""

    keep_world: bool = False
    """Whether world pointmaps stay."""

    lazy: bool = False
    """Whether photos are decoded when looked at, and not kept."""

    processes: int = 1
    """How many share each pass, on devices like this one."""

    @property
    def own_memory(self) -> bool:
        """Whether the device has memory of its own."""
        return self.device.type == "cuda"


def situation_of(
    views: Sequence[View],
    model: Fast3R,
    *,
    memory_gib: float | None = None,
    keep_world: bool = False,
    folder: Path | None = None,
) -> Situation:
    """Return the situation of views at network size and a model that are loaded.

    Raises:
        ValueError: `memory_gib` is not positive.
    """
    lazy = any(isinstance(view, LazyView) for view in views)
    workload = Workload.of(views, patch=model.patch)
    empty = situation_on(
        model.device, model.config, workload, memory_gib=memory_gib, lazy=lazy, folder=folder
    )
    weights = sum(weight.nbytes for weight in model.parameters())
    photos = 0 if lazy else workload.pixels * 3
    device_room = empty.device_room
    if device_room is not None and memory_gib is None:
        device_room += weights
    return replace(
        empty,
        resident=max(0, empty.resident - photos - (0 if empty.own_memory else weights)),
        device_room=device_room,
        weight_bytes=next(model.parameters()).element_size(),
        keep_world=keep_world,
        processes=model.processes if isinstance(model, SharedFast3R) else 1,
    )


def situation_on(
    device: torch.device,
    config: Fast3RConfig,
    workload: Workload,
    *,
    memory_gib: float | None = None,
    lazy: bool = False,
    folder: Path | None = None,
) -> Situation:
    """Return the situation of some work on a device, of which nothing is loaded.

    Args:
        device: Where the network would run.
        config: Shape of the model.
        workload: The views.
        memory_gib: Memory that may be used, of the device where it has its own, otherwise of the
            host; by default what is free, less a margin.
        lazy: Whether photos are decoded when looked at, and not kept.
        folder: Where files with pointmaps would go.

    Raises:
        ValueError: `memory_gib` is not positive.
    """
    if memory_gib is not None and not 0 < memory_gib < float("inf"):
        raise ValueError(f"memory_gib must be positive and finite, got {memory_gib}")
    resident = resident_bytes()
    free_host, free_device = free_host_bytes(), free_device_bytes(device)
    host_room = None if free_host is None else int(_SHARE * free_host) + resident
    device_room = None if free_device is None else int(_SHARE * free_device)
    if memory_gib is not None and device.type == "cuda":
        device_room = int(memory_gib * 2**30)
    elif memory_gib is not None:
        host_room = int(memory_gib * 2**30)
    return Situation(
        config=config,
        workload=workload,
        device=device,
        resident=resident,
        host_room=host_room,
        device_room=device_room,
        disk_room=int(_SHARE * shutil.disk_usage(_standing(folder or scratch_parent())).free),
        lazy=lazy,
    )


def _standing(folder: Path) -> Path:
    """Return the folder, or what there is of the way to it."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def scratch_parent() -> Path:
    """Return where large temporary files go: on a disk, as /tmp is often kept in memory."""
    on_disk = Path("/var/tmp")
    if "TMPDIR" in os.environ or not os.access(on_disk, os.W_OK):
        return Path(tempfile.gettempdir())
    return on_disk
