"""How far cameras are from what is known of them, once the scene lies in the known world."""

import math

from fast3r.geometry.transforms import rotation_angle_deg
from fast3r.scene.priors.found_cameras import FoundCameras, spread
from fast3r.scene.priors.gps import UNKNOWN_ALTITUDE_M
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.targets import Targets
from fast3r.scene.priors.world_fit import GATE, MIN_SIGMA, WorldFit

_TRACK_SIGMAS = 3.0
"""Of the median error of a track, which is 1.5 by chance."""


def gravity_checks(fit: WorldFit, found: FoundCameras) -> list[PriorCheck]:
    """Say how far each known direction of gravity is from downwards."""
    targets = fit.targets
    down = (fit.world_from_scene.rotation @ found.rotations @ targets.down[..., None])[..., 0]
    angles_deg = (-down[:, 2]).clamp(-1, 1).acos().rad2deg()
    allowed = math.degrees(GATE * targets.down_sigma_rad)
    return [
        PriorCheck.measured(
            f"gravity of {found.names[row]}", angles_deg[row].item(), allowed, "deg"
        )
        for row in targets.hanging.nonzero()[:, 0].tolist()
    ]


def track_check(fit: WorldFit, found: FoundCameras, targets: Targets) -> list[PriorCheck]:
    """Say how unlike the known places all found ones are together, before a fit allows for it."""
    rows = targets.placed
    if rows.sum() < 3:
        return []
    # Where no altitude is known, the vertical tells nothing.
    axes = 3 if (targets.centre_sigma[rows, 2] < UNKNOWN_ALTITUDE_M).all() else 2
    wanted = targets.centres[rows, :axes]
    off = fit.world_from_scene(found.centres)[rows, :axes] - wanted
    percent = 100 / max(spread(wanted), MIN_SIGMA)
    allowed = _TRACK_SIGMAS * targets.centre_sigma[rows, 0].median().item()
    residual = off.norm(dim=-1).median().item()
    return [PriorCheck.measured("track of the cameras", residual * percent, allowed * percent, "%")]


def pose_checks(fit: WorldFit, found: FoundCameras, unit: str) -> list[PriorCheck]:
    """Say how far each camera is from its known pose, before it is put there."""
    targets = fit.targets
    moved = fit.world_from_scene(found.centres)
    shifts = (moved - targets.centres).norm(dim=-1)
    turned = fit.world_from_scene.rotation @ found.rotations
    checks = []
    for row in targets.placed.nonzero()[:, 0].tolist():
        angle_deg = rotation_angle_deg(turned[row], targets.rotations[row]).item()
        sigma_deg = math.degrees(targets.rotation_sigma_rad[row].item())
        allowed = GATE * targets.centre_sigma[row, 0].item()
        name = found.names[row]
        checks += [
            PriorCheck.measured(f"position of {name}", shifts[row].item(), allowed, unit),
            PriorCheck.measured(f"rotation of {name}", angle_deg, GATE * sigma_deg, "deg"),
        ]
    return checks


def gps_checks(fit: WorldFit, found: FoundCameras) -> list[PriorCheck]:
    """Say how far each camera is from its place by GPS."""
    targets = fit.targets
    off = (fit.world_from_scene(found.centres) - targets.centres).abs()
    checks = []
    for row in targets.placed.nonzero()[:, 0].tolist():
        sigma = targets.centre_sigma[row]
        known = 3 if sigma[2] < UNKNOWN_ALTITUDE_M else 2
        # The same gate as in the fit, which counts in standard deviations, along this error.
        length = off[row, :known].norm().item()
        sigmas = (off[row, :known] / sigma[:known]).norm().item()
        allowed = GATE * (length / sigmas if sigmas > 0 else sigma[0].item())
        checks.append(PriorCheck.measured(f"gps of {found.names[row]}", length, allowed, "m"))
    return checks


def contradicted_views(fit: WorldFit, found: FoundCameras) -> frozenset[int]:
    """Return the views whose known place or orientation the fit left out."""
    off = (fit.targets.placed & ~fit.agrees[:, 0]) | (fit.targets.turned & ~fit.agrees[:, 1])
    return frozenset(found.indices[row] for row in off.nonzero()[:, 0].tolist())
