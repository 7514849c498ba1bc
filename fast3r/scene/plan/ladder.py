"""All ways to arrange a run, the best first.

The usual chunks, smaller chunks, pointmaps in files, half precision, overlapping chunks of views,
smaller images: exact ways come before approximate ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from fast3r.models.fast3r import Chunks
from fast3r.scene.machine import Precision, choose_precision
from fast3r.scene.plan.need import Need, Outputs, Setting, need_of
from fast3r.scene.plan.plan import Plan
from fast3r.scene.plan.situation import Situation
from fast3r.scene.plan.workload import Workload

_CHUNKS = (
    Chunks(),
    Chunks(4, 4096, 1),
    Chunks(2, 2048, 1),
    Chunks(1, 1024, 1),
    Chunks(1, 512, 1),
)
_OUTPUTS: tuple[Outputs, ...] = ("memory", "files")
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


def ladder(situation: Situation, wish: Wish) -> Iterator[Plan]:
    """Yield all ways to do what is wished, the best first."""
    precisions = _precisions(situation, wish)
    chunks = _CHUNKS if wish.chunks is None else (wish.chunks,)
    usual_and_least = tuple(dict.fromkeys((chunks[0], chunks[-1])))
    for sized in _at_each_size(situation, wish):
        views = len(sized.workload)
        if wish.chunk_views is None or wish.chunk_views >= views:
            for precision, outputs, at_once in product(precisions, _OUTPUTS, chunks):
                setting = Setting(precision, at_once, outputs)
                yield _plan(sized, setting, need_of(sized, setting))
        for most in _chunk_views(wish, views):
            some = sized.workload.some(most)
            for precision, at_once in product(precisions, usual_and_least):
                yield _chunked(sized, some, Setting(precision, at_once, "files"))


def _precisions(situation: Situation, wish: Wish) -> list[Precision]:
    first = choose_precision(wish.precision, situation.device)
    return [first, "bfloat16"] if (wish.precision, first) == ("auto", "float32") else [first]


def _at_each_size(situation: Situation, wish: Wish) -> Iterator[Situation]:
    yield situation
    if wish.size is not None:
        return
    workload = situation.workload
    longest, patch = max(map(max, workload.sizes)), workload.patch
    sizes = {int(longest * share) // patch * patch for share in _SIZES}
    for size in sorted(sizes, reverse=True):
        if 8 * patch <= size < longest:
            yield replace(situation, workload=workload.resized(size))


def _chunk_views(wish: Wish, views: int) -> list[int]:
    if wish.chunk_views is not None:
        return [wish.chunk_views] if wish.chunk_views < views else []
    if not wish.may_chunk:
        return []
    wanted = (int(views / (parts - (parts - 1) * _OVERLAP)) + 1 for parts in _PARTS)
    return [most for most in wanted if _FEWEST_USEFUL <= most < views]


def _chunked(situation: Situation, some: Workload, setting: Setting) -> Plan:
    one = need_of(replace(situation, workload=some), setting)
    # Photos stay, and what each chunk says of its views waits in files until they are joined.
    pixels = situation.workload.pixels
    photos = 0 if situation.lazy else pixels * 3
    need = replace(one, host=one.host - one.photos + photos, photos=photos, files=pixels * 40)
    overlap = max(2, round(_OVERLAP * len(some)))
    return replace(_plan(situation, setting, need), chunk_views=len(some), overlap=overlap)


def _plan(situation: Situation, setting: Setting, need: Need) -> Plan:
    return Plan(
        views=len(situation.workload),
        size=max(map(max, situation.workload.sizes)),
        setting=setting,
        need=need,
        host_room=situation.host_room,
        device_room=situation.device_room,
        disk_room=situation.disk_room,
    )
