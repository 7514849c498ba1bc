"""Choosing how to arrange a run so that it fits: exact ways first, then approximate ones.

All ways are on one ladder, the best first: the usual chunks, smaller chunks, pointmaps in files,
half precision, overlapping chunks of views, smaller images. The highest rung that fits is taken;
after running out of memory all the same, a lower one is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch

from fast3r.models.config import Fast3RConfig
from fast3r.models.fast3r import Chunks
from fast3r.scene.machine import Precision, choose_precision
from fast3r.scene.plan.need import Need, Setting, need_of
from fast3r.scene.plan.plan import Plan
from fast3r.scene.plan.workload import Workload

_CHUNKS = (
    Chunks(),
    Chunks(4, 4096, 1),
    Chunks(2, 2048, 1),
    Chunks(1, 1024, 1),
    Chunks(1, 512, 1),
)
_PARTS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Into how many overlapping chunks of views a run is tried to be divided."""
FEWEST_CHUNK_VIEWS = 4
"""Of which at least two are shared with the chunk before, and two are new."""
_FEWEST_USEFUL = 8
"""Views of a chunk that the plan would choose by itself."""
_OVERLAP = 0.2
"""Share of a chunk's views that the chunk before it has too."""
_SIZES = (7 / 8, 3 / 4, 5 / 8, 1 / 2, 3 / 8, 1 / 4)
"""Smaller sizes that are tried, relative to the one that was wanted."""


@dataclass(frozen=True)
class Wish:
    """What the user decides; None and "auto" leave it to the plan."""

    size: int | None = None
    """Long side of the views in pixels."""

    precision: Literal["auto"] | Precision = "auto"
    """Number format of encoder and fusion."""

    chunks: Chunks | None = None
    """How much is worked on at a time."""

    chunk_views: int | None = None
    """Views of each of several overlapping chunks."""

    may_chunk: bool = True
    """Whether the plan may divide the views into overlapping chunks by itself."""


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


def choose(situation: Situation, wish: Wish) -> Plan:
    """Return the best plan that fits.

    Raises:
        MemoryError: None does; the message says what would.
    """
    for plan in ladder(situation, wish):
        if plan.fits:
            return _with_told(plan, situation, wish)
    raise MemoryError(_why_none(situation, wish))


def step_down(situation: Situation, wish: Wish, plan: Plan) -> Plan | None:
    """Return the next plan that takes clearly less than one that ran out of memory, if any."""
    passed = False
    for other in ladder(situation, wish):
        if passed and other.leaner(plan) and other.fits:
            return _with_told(other, situation, wish)
        passed = passed or _key(other) == _key(plan)
    return None


def ladder(situation: Situation, wish: Wish) -> Iterator[Plan]:
    """Yield all ways to do what is wished, the best first."""
    precisions = _precisions(wish, situation.device)
    for workload in _workloads(situation, wish):
        if wish.chunk_views is None or wish.chunk_views >= len(workload):
            for precision in precisions:
                for outputs in ("memory", "files"):
                    for chunks in _chunks(wish):
                        setting = Setting(precision, chunks, outputs)
                        yield _one_pass(situation, workload, setting)
        for views in _chunk_views(wish, len(workload)):
            some = workload.some(views)
            for precision in precisions:
                for chunks in _chunks(wish)[:: len(_CHUNKS) - 1]:
                    setting = Setting(precision, chunks, "files")
                    yield _chunked(situation, workload, setting, some)


def _key(plan: Plan) -> tuple[object, ...]:
    return plan.size, plan.setting, plan.chunk_views


def _precisions(wish: Wish, device: torch.device) -> list[Precision]:
    first = choose_precision(wish.precision, device)
    return [first, "bfloat16"] if (wish.precision, first) == ("auto", "float32") else [first]


def _workloads(situation: Situation, wish: Wish) -> Iterator[Workload]:
    yield situation.workload
    if wish.size is not None:
        return
    longest, patch = max(map(max, situation.workload.sizes)), situation.workload.patch
    sizes = {int(longest * share) // patch * patch for share in _SIZES}
    for size in sorted(sizes, reverse=True):
        if 8 * patch <= size < longest:
            yield situation.workload.resized(size)


def _chunks(wish: Wish) -> tuple[Chunks, ...]:
    return _CHUNKS if wish.chunks is None else (wish.chunks,)


def _chunk_views(wish: Wish, views: int) -> list[int]:
    if wish.chunk_views is not None:
        return [wish.chunk_views] if wish.chunk_views < views else []
    if not wish.may_chunk:
        return []
    wanted = (int(views / (parts - (parts - 1) * _OVERLAP)) + 1 for parts in _PARTS)
    return [most for most in wanted if _FEWEST_USEFUL <= most < views]


def _one_pass(situation: Situation, workload: Workload, setting: Setting) -> Plan:
    return _plan(situation, workload, setting, _need(situation, workload, setting))


def _chunked(situation: Situation, workload: Workload, setting: Setting, some: Workload) -> Plan:
    one = _need(situation, some, setting)
    # Photos stay, and what each chunk says of its views waits in files until they are joined.
    photos = 0 if situation.lazy else workload.pixels * 3
    waiting = workload.pixels * 40
    need = replace(one, host=one.host - one.photos + photos, photos=photos, files=waiting)
    plan = _plan(situation, workload, setting, need)
    return replace(plan, chunk_views=len(some), overlap=max(2, round(_OVERLAP * len(some))))


def _need(situation: Situation, workload: Workload, setting: Setting) -> Need:
    return need_of(
        situation.config,
        workload,
        setting,
        own_memory=situation.device.type == "cuda",
        resident=situation.resident,
        weight_bytes=situation.weight_bytes,
        keep_world=situation.keep_world,
        lazy=situation.lazy,
        processes=situation.processes,
    )


def _plan(situation: Situation, workload: Workload, setting: Setting, need: Need) -> Plan:
    return Plan(
        views=len(workload),
        size=max(map(max, workload.sizes)),
        setting=setting,
        need=need,
        host_room=situation.host_room,
        device_room=situation.device_room,
        disk_room=situation.disk_room,
    )


def _with_told(plan: Plan, situation: Situation, wish: Wish) -> Plan:
    """Return the plan with what tells it from the best."""
    best = next(ladder(situation, replace(wish, chunk_views=None)))
    told = []
    if plan.chunk_views is not None and wish.chunk_views is None:
        told.append("divides the views")
    if plan.setting.chunks != best.setting.chunks:
        told.append(f"works on {plan.setting.chunks.fusion_tokens} tokens at a time")
    if plan.setting.outputs != best.setting.outputs and plan.chunk_views is None:
        told.append(f"keeps pointmaps in files ({plan.need.files / 2**30:.1f} GiB)")
    if plan.setting.precision != best.setting.precision:
        told.append(f"computes in {plan.setting.precision}")
    if plan.size != best.size:
        told.append(f"sees the photos at {plan.size} instead of {best.size} px")
    return replace(plan, told=tuple(told))


def _why_none(situation: Situation, wish: Wish) -> str:
    leanest = min(ladder(situation, wish), key=lambda plan: _excess(plan))
    short_of_host = leanest.host_room is not None and leanest.need.host > leanest.host_room
    need, room, where = leanest.need.device, leanest.device_room, str(situation.device)
    if short_of_host or need is None or room is None:
        need, room, where = leanest.need.host, leanest.host_room, "host"
    assert room is not None
    rows, columns = situation.workload.largest
    return (
        f"{where} is too small: {len(situation.workload)} views of up to {columns}x{rows} px need "
        f"at least {need / 2**30:.1f} GiB as asked for, and {room / 2**30:.1f} GiB are to be had; "
        + _way_out(situation, wish)
    )


def _excess(plan: Plan) -> float:
    host = 0 if plan.host_room is None else plan.need.host - plan.host_room
    if plan.device_room is None or plan.need.device is None:
        return host
    return max(host, plan.need.device - plan.device_room)


def _way_out(situation: Situation, wish: Wish) -> str:
    """Return what would fit."""
    ways = []
    freer = replace(wish, size=None, precision="auto", chunks=None, chunk_views=None)
    fitting = next((plan for plan in ladder(situation, freer) if plan.fits), None)
    if freer != wish and fitting is not None:
        ways.append(f"this would fit: {describe(fitting)}")
    most = most_views(situation, replace(wish, may_chunk=False))
    ways.append(f"use at most {most} views" if most else "use fewer views and a smaller --size")
    return ", or ".join(ways) + " (--num-frames for a video); 'fast3r plan' says what fits"


def most_views(situation: Situation, wish: Wish) -> int:
    """Return how many of the views fit as wished."""
    fewest, most = 0, len(situation.workload) + 1
    while most - fewest > 1:
        middle = (fewest + most) // 2
        fewer = replace(situation, workload=situation.workload.some(middle))
        fits = any(plan.fits for plan in ladder(fewer, wish))
        fewest, most = (middle, most) if fits else (fewest, middle)
    return fewest


def describe(plan: Plan) -> str:
    """Return the choices of a plan as options of the command line would make them."""
    words = [f"--size {plan.size}", f"--precision {plan.setting.precision}"]
    if plan.chunk_views is not None:
        words.append(f"--chunk-views {plan.chunk_views}")
    return " ".join(words)
