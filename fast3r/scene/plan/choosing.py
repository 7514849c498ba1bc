"""Choosing how to arrange a run so that it fits.

Of all ways, the best that fits is taken; after running out of memory all the same, a lower one is.
"""

from dataclasses import replace

from fast3r.scene.plan.ladder import Wish, ladder
from fast3r.scene.plan.plan import Plan
from fast3r.scene.plan.situation import Situation


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
        passed = passed or other.arrangement == plan.arrangement
    return None


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
    leanest = min(ladder(situation, wish), key=_excess)
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
        ways.append(f"this would fit: {_as_options(fitting)}")
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


def _as_options(plan: Plan) -> str:
    words = [f"--size {plan.size}", f"--precision {plan.setting.precision}"]
    if plan.chunk_views is not None:
        words.append(f"--chunk-views {plan.chunk_views}")
    return " ".join(words)
