"""A plan in words: one line while it is carried out, a table when it is asked for."""

from dataclasses import asdict

from fast3r.scene.plan.plan import Plan
from fast3r.scene.plan.situation import Situation


def tell(plan: Plan, device: object) -> str:
    """Return in one line what was chosen and what it costs."""
    how = "in one pass"
    if plan.chunk_views is not None:
        how = f"in chunks of {plan.chunk_views} with {plan.overlap} in common"
    line = f"plan: {plan.views} views of up to {plan.size} px {how}, {plan.setting.precision}"
    if plan.told:
        line += f"; for want of memory it {_listed(plan.told)}"
    return f"{line}; {_costs(plan, device)}"


def _listed(words: tuple[str, ...]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _costs(plan: Plan, device: object) -> str:
    memory = _amount(plan.need.host, plan.host_room) + " of memory"
    if plan.need.device is not None:
        memory += f", {_amount(plan.need.device, plan.device_room)} on {device}"
    if plan.seconds is None:
        return memory
    return f"{memory}, about {duration(sum(plan.seconds.values()))}"


def _amount(need: int, room: int | None) -> str:
    of_room = "" if room is None else f" of {room / 2**30:.1f}"
    return f"{need / 2**30:.1f}{of_room} GiB"


def duration(seconds: float) -> str:
    """Return a time in words with two digits that count."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 99.5 else f"{minutes / 60:.1f} h"


def table(plan: Plan, situation: Situation, device: object) -> str:
    """Return what a plan takes, a line for each kind of memory and each stage."""
    need, workload = plan.need, situation.workload
    sizes = ", ".join(f"{count} of {w}x{h}" for (h, w), count in workload.by_size.most_common(4))
    more = ", ..." if len(workload.by_size) > 4 else ""
    lines = [("views", f"{sizes}{more} px; {workload.total_tokens} tokens")]
    where = "host memory" if need.device is not None else "memory"
    parts = "" if need.device is not None else f"the model {_gib(need.weights)}, "
    had = "" if plan.host_room is None else f" of {_gib(plan.host_room)} to be had"
    lines.append((where, f"{_gib(need.host)}{had}, with {parts}photos {_gib(need.photos)}"))
    if need.device is not None:
        had = "" if plan.device_room is None else f" of {_gib(plan.device_room)} to be had"
        weights = f", with the model {_gib(need.weights)}"
        lines.append((f"{device} memory", f"{_gib(need.device)}{had}{weights}"))
    if need.files:
        lines.append(("temporary files", _gib(need.files)))
    lines.append(("memory to write it", _gib(need.writing)))
    for stage, seconds in (plan.seconds or {}).items():
        lines.append((stage, duration(seconds)))
    return "\n".join(f"  {name:<21} {value}" for name, value in lines)


def as_document(plan: Plan) -> dict[str, object]:
    """Return a plan as JSON has it."""
    return {**asdict(plan), "fits": plan.fits}


def _gib(amount: int) -> str:
    return f"{amount / 2**30:.2f} GiB"
