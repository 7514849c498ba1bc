"""Time of a run by stage: its work, divided by what this machine does per second.

Each stage is a sum of a few kinds of work, each with a factor for how much slower it is than the
probe that measures its rate. The factors were fitted by `benchmarks/plan.py`; they are pure
numbers, and the seconds come from the rates alone.
"""

import math
from dataclasses import replace

from fast3r.models.config import Fast3RConfig
from fast3r.scene.plan.plan import Plan
from fast3r.scene.plan.rates import Rates, known_rates
from fast3r.scene.plan.situation import Situation
from fast3r.scene.plan.work import Work, encoder_work, fusion_work, heads_work
from fast3r.scene.plan.workload import Workload

STAGES = ("load", "encoder", "fusion", "heads", "cameras", "writing")
"""In order."""

LINEAR, ATTENTION, CONVOLUTION, ELEMENTWISE = 1.06, 0.89, 1.08, 4.1
"""How much longer work takes in the network than in the probe."""

CAMERA_BYTES, CAMERA_VIEW_BYTES = 520.0, 7.8e8
"""Finding cameras takes as long as copying so many bytes for each pixel, and for each view."""

WRITING_BYTES = 2600.0
"""Making and writing a cloud takes as long as copying so many bytes for each pixel."""


def work_seconds(work: Work, rates: Rates) -> float:
    """Return how long some work of the network takes."""
    return (
        LINEAR * work.linear / rates.linear
        + ATTENTION * work.attention / rates.attention
        + CONVOLUTION * work.convolution / rates.convolution
        + ELEMENTWISE * 4 * work.numbers / rates.copy
    )


def pass_seconds(config: Fast3RConfig, workload: Workload, rates: Rates) -> dict[str, float]:
    """Return the seconds of the stages of one pass, and of finding its cameras."""
    camera_bytes = CAMERA_BYTES * workload.pixels + CAMERA_VIEW_BYTES * len(workload)
    return {
        "encoder": work_seconds(encoder_work(config, workload), rates),
        "fusion": work_seconds(fusion_work(config, workload), rates),
        "heads": work_seconds(heads_work(config, workload), rates),
        "cameras": camera_bytes / rates.copy,
    }


def plan_seconds(
    situation: Situation, plan: Plan, rates: Rates, *, load_s: float = 0.0
) -> dict[str, float]:
    """Return the seconds of each stage, given the rates of the machine and the time to load."""
    config, workload = situation.config, situation.workload
    if plan.size < max(map(max, workload.sizes)):
        workload = workload.resized(plan.size)
    if plan.chunk_views is None:
        stages = pass_seconds(config, workload, rates)
    else:
        # A first look at each view, a pass for the focal length, and the chunks.
        look = work_seconds(encoder_work(config, workload), rates)
        own = plan.chunk_views - plan.overlap
        passes = 1 + max(1, math.ceil((len(workload) - plan.overlap) / own))
        one = pass_seconds(config, workload.some(plan.chunk_views), rates)
        stages = {name: passes * seconds for name, seconds in one.items()}
        stages["encoder"] += look
    writing = WRITING_BYTES * workload.pixels / rates.copy
    return {"load": load_s, **stages, "writing": writing}


def with_seconds(plan: Plan, situation: Situation) -> Plan:
    """Return a plan with the time that it takes once all is loaded, if the rates are known."""
    rates = known_rates(situation.config, situation.device, plan.setting.precision)
    return plan if rates is None else replace(plan, seconds=plan_seconds(situation, plan, rates))
