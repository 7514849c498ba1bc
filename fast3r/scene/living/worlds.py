"""In which world two scenes become one, and where what is known of them disagrees."""

import math
from dataclasses import replace
from typing import NamedTuple

import torch

from fast3r.geometry.transforms import Similarity
from fast3r.scene.priors.gps import east_north_up
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.reconstruction import Reconstruction, Scale, World

_KNOWN = {"network": 0, "gravity": 1, "known poses": 2, "east north up": 2}
_UPRIGHT = ("gravity", "east north up")
# Lengths in a scene err by 4 % (one standard deviation) relative to each other, and so do those
# that made it metric.
_MAX_RESIZE = 0.1
_MAX_TILT_DEG = 10.0
# Four standard deviations of two places from phones.
_MAX_SHIFT_M = 17.0


class CommonWorld(NamedTuple):
    """Where two scenes go."""

    from_a: Similarity | None
    """None: a stays as it is."""
    from_b: Similarity | None
    scale: Scale
    world: World
    checks: list[PriorCheck]
    """What both tell, beside each other."""


def common_world(a: Reconstruction, b: Reconstruction, a_from_b: Similarity) -> CommonWorld:
    """Return the world of the scene of which more is known, in metres if either scene tells them.

    Of equals it is that of a.
    """
    b_leads = _KNOWN[b.world.axes] > _KNOWN[a.world.axes] or (
        a.world.axes == b.world.axes == "network" and a.scale.kind != b.scale.kind == "metric"
    )
    lead, other = (b, a) if b_leads else (a, b)
    lead_from_other = a_from_b.inverse() if b_leads else a_from_b
    unit_from = lead if lead.scale.kind == "metric" or other.scale.kind != "metric" else other
    from_lead = None
    if unit_from is other:
        from_lead = replace(Similarity.identity(), scale=1 / lead_from_other.scale)
        lead_from_other = from_lead @ lead_from_other
    from_a, from_b = (lead_from_other, from_lead) if b_leads else (from_lead, lead_from_other)
    return CommonWorld(from_a, from_b, unit_from.scale, lead.world, _contradictions(a, b, a_from_b))


def _contradictions(a: Reconstruction, b: Reconstruction, a_from_b: Similarity) -> list[PriorCheck]:
    checks = []
    if a.scale.kind == b.scale.kind == "metric":
        ratio = a_from_b.scale.item()
        percent = 100 * math.expm1(abs(math.log(ratio)))
        note = (
            f"a metre of the second scene ({b.scale.source}) is {ratio:.3g} m in the first "
            f"({a.scale.source})"
        )
        checks.append(_check("scale of the second scene", percent, 100 * _MAX_RESIZE, "%", note))
    if a.world.axes in _UPRIGHT and b.world.axes in _UPRIGHT:
        tilt_deg = a_from_b.rotation[2, 2].clamp(-1, 1).acos().rad2deg().item()
        checks.append(_check("vertical of the second scene", tilt_deg, _MAX_TILT_DEG, "deg"))
    if a.world.origin is not None and b.world.origin is not None:
        expected = east_north_up(torch.tensor([b.world.origin]).double(), a.world.origin)[0]
        shift_m = (a_from_b.translation - expected).norm().item()
        checks.append(_check("place of the second scene", shift_m, _MAX_SHIFT_M, "m"))
    return checks


def _check(name: str, residual: float, allowed: float, unit: str, note: str = "") -> PriorCheck:
    status = "agrees" if residual <= allowed else "disagrees"
    return PriorCheck(name, status, residual, allowed, unit, note if status == "disagrees" else "")
