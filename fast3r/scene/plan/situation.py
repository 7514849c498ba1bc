"""What there is to do and what there is to do it with: looked up before a run is planned."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from fast3r.models.config import Fast3RConfig
from fast3r.models.fast3r import Fast3R
from fast3r.models.sharing import SharedFast3R
from fast3r.scene.machine import free_device_bytes, free_host_bytes, resident_bytes
from fast3r.scene.plan.choosing import Situation
from fast3r.scene.plan.memory import num_weights
from fast3r.scene.plan.workload import Workload
from fast3r.views.view import View
from fast3r.views.views import LazyView

_SHARE = 0.85
"""Of the free memory that a plan may use: its error and what others take meanwhile are the rest."""


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
    weights = sum(weight.nbytes for weight in model.parameters())
    workload = Workload.of(views, patch=model.patch)
    loaded = (0 if lazy else workload.pixels * 3) + (model.device.type != "cuda") * weights
    return situation_on(
        model.device,
        model.config,
        workload,
        memory_gib=memory_gib,
        keep_world=keep_world,
        lazy=lazy,
        weight_bytes=next(model.parameters()).element_size(),
        loaded=loaded,
        weights_on_device=weights,
        folder=folder,
        processes=model.processes if isinstance(model, SharedFast3R) else 1,
    )


def situation_on(
    device: torch.device,
    config: Fast3RConfig,
    workload: Workload,
    *,
    memory_gib: float | None = None,
    keep_world: bool = False,
    lazy: bool = False,
    weight_bytes: int = 4,
    loaded: int = 0,
    weights_on_device: int = 0,
    folder: Path | None = None,
    processes: int = 1,
) -> Situation:
    """Return the situation of some work on a device.

    Args:
        device: Where the network would run.
        config: Shape of the model.
        workload: The views.
        memory_gib: Memory that may be used, of the device where it has its own, otherwise of the
            host; by default what is free, less a margin.
        keep_world: Whether world pointmaps stay.
        lazy: Whether photos are decoded when looked at, and not kept.
        weight_bytes: Of each weight of the model.
        loaded: Bytes of model and photos that are in the host's memory already.
        weights_on_device: Bytes of the model that are in the device's own memory already.
        folder: Where files with pointmaps would go.
        processes: How many share each pass, on devices like this one.

    Raises:
        ValueError: `memory_gib` is not positive.
    """
    if memory_gib is not None and not 0 < memory_gib < float("inf"):
        raise ValueError(f"memory_gib must be positive and finite, got {memory_gib}")
    resident = resident_bytes()
    free_host, free_device = free_host_bytes(), free_device_bytes(device)
    host_room = None if free_host is None else int(_SHARE * free_host) + resident
    device_room = None if free_device is None else int(_SHARE * free_device) + weights_on_device
    if memory_gib is not None and device.type == "cuda":
        device_room = int(memory_gib * 2**30)
    elif memory_gib is not None:
        host_room = int(memory_gib * 2**30)
    return Situation(
        config=config,
        workload=workload,
        device=device,
        resident=max(0, resident - loaded),
        host_room=host_room,
        device_room=device_room,
        disk_room=int(_SHARE * shutil.disk_usage(_standing(folder or scratch_parent())).free),
        weight_bytes=weight_bytes,
        keep_world=keep_world,
        lazy=lazy,
        processes=processes,
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


def weight_bytes_of(config: Fast3RConfig, weight_bytes: int = 4) -> int:
    """Return the bytes of all weights of a model."""
    return num_weights(config).all * weight_bytes
