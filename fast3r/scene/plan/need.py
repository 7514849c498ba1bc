"""Memory that a run takes on this machine: the count by hand, and what libraries add to it.

The constants were fitted by `benchmarks/plan.py`, which measures each stage in a process of its
own; those of CUDA are stated where they are, and have not been measured.
"""

from dataclasses import dataclass, field
from typing import Literal

from fast3r.models.fast3r import Chunks
from fast3r.models.matching import FEATURES
from fast3r.scene.machine import Precision
from fast3r.scene.plan.memory import Formats, count
from fast3r.scene.plan.situation import Situation
from fast3r.scene.point_cloud import HELD_PIXELS

Outputs = Literal["memory", "files"]
"""Where pointmaps wait for the cameras: in memory, or in files that the system reads back."""

MIB = 2**20
_POINTMAP_BYTES = 16
"""Of one pixel: a point and its confidence in float32."""

# What torch's libraries take on first use, and what malloc loses between tensors that are too
# small to get pages of their own (32 MiB is where glibc stops to reuse).
_LIBRARIES = 64 * MIB
_HEAP_LOSS, _HEAP_BLOCK = 1.0, 32 * MIB
# Of a pixel of the 16 views whose cameras are found at a time.
_CAMERA_BYTES, _CAMERA_VIEWS = 110, 16
# Of a pixel of scenes whose points are held while they are written. What is drawn of the points of
# larger ones, for a page or a COLMAP model, takes no more than the largest of these.
_WRITING_BYTES = 100
# Unmeasured: the share that CUDA's caching allocator loses, and the workspaces of its libraries.
_CUDA_LOSS, _CUDA_LIBRARIES = 0.08, 256 * MIB


@dataclass(frozen=True)
class Setting:
    """How a pass is done; only the precision changes its numbers."""

    precision: Precision = "float32"
    """Of encoder and fusion."""

    chunks: Chunks = field(default_factory=Chunks)
    """How much is worked on at a time."""

    outputs: Outputs = "memory"
    """Where pointmaps are kept."""


@dataclass(frozen=True)
class Need:
    """Most bytes at any time."""

    host: int
    """Memory of the process, all that it has loaded included."""

    device: int | None
    """Memory of the device where it has its own; None where it computes in the host's."""

    files: int
    """Disk space for tensors in files, freed at the end."""

    weights: int
    """The share of the model: in the device's memory or, where it has none, in the host's."""

    photos: int
    """The share of the photos at network size, in the host's memory."""

    stages: tuple[int, ...]
    """The share of each stage that depends on how the run is arranged."""

    writing: int
    """Memory of the process while the scene is written, in whatever format."""


def need_of(situation: Situation, setting: Setting) -> Need:
    """Return what a pass over all views and the cameras need."""
    config, workload, own_memory = situation.config, situation.workload, situation.own_memory
    weight_bytes = situation.weight_bytes
    formats = Formats(weight_bytes, 2 if setting.precision == "bfloat16" else weight_bytes)
    # Without memory of their own, all devices take from the host what one would.
    processes = situation.processes if own_memory else 1
    counted = count(config, workload, setting.chunks, formats, processes=processes)
    pixels = workload.pixels
    photos = 0 if situation.lazy else pixels * 3
    maps = pixels * _POINTMAP_BYTES * (2 if config.head.local else 1)
    maps += 4 * FEATURES * workload.patches * config.head.matches
    # Depth, and world pointmaps on request; the confidence stays where it is.
    results = pixels * (4 + _POINTMAP_BYTES * situation.keep_world)
    in_files = setting.outputs == "files"
    kept = 0 if in_files else maps
    # Images are floats, once by themselves and once as a batch.
    images = 24 * workload.most_pixels(setting.chunks.encoder_views) + pixels * workload.masked
    cameras = _CAMERA_BYTES * workload.most_pixels(_CAMERA_VIEWS)
    at_the_end = kept + (0 if in_files else results) + cameras * (not own_memory)
    held = situation.resident + _LIBRARIES + photos
    network = (counted.encoder + images, counted.fusion, counted.heads)
    if own_memory:
        largest = counted.weights + max(*network, cameras)
        device = int(largest * (1 + _CUDA_LOSS)) + _CUDA_LIBRARIES
        # A chunk on its way to the host is there twice.
        stages = (images, kept + 12 * maps // max(1, len(workload)), at_the_end)
    else:
        device = None
        stages = (*network[:2], counted.heads + kept, at_the_end)
        lost = _HEAP_LOSS * min(counted.fusion - counted.levels, _HEAP_BLOCK)
        held += int(counted.weights + lost)
    # Confidences are part of the pointmaps.
    written = (0 if in_files else results + 4 * pixels) + _WRITING_BYTES * min(pixels, HELD_PIXELS)
    return Need(
        host=held + max(*stages, written),
        device=device,
        files=maps + results if in_files else 0,
        weights=counted.weights,
        photos=photos,
        stages=(*network, *stages) if own_memory else stages,
        writing=held + written,
    )
