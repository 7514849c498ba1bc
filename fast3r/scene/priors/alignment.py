"""How a scene lies in the world that poses, GPS or gravity tell of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import Similarity
from fast3r.scene.priors.binding import BoundPriors
from fast3r.scene.priors.camera_checks import (
    contradicted_views,
    gps_checks,
    gravity_checks,
    pose_checks,
    track_check,
)
from fast3r.scene.priors.found_cameras import FoundCameras, spread
from fast3r.scene.priors.gps import UNKNOWN_ALTITUDE_M, local_positions
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.scales import ScaleVote
from fast3r.scene.priors.targets import Targets
from fast3r.scene.priors.world_fit import MIN_SIGMA, WorldFit, fit_world
from fast3r.scene.reconstruction import World

_MIN_SPREAD_SIGMAS = 2.0


@dataclass(frozen=True)
class Alignment:
    """How a scene lies in the known world, and what that tells."""

    world_from_scene: Similarity
    """In float64; the identity where nothing is known."""

    world: World
    """What the axes are."""

    pivot: Float[Tensor, " 3"]
    """Point of the scene that stays in place when the scale changes."""

    scale_source: str = "network"
    """Where the scale came from if nothing metric tells it."""

    exact_scale: bool = False
    """Whether the unit is that of metric poses, for nothing else to change."""

    about_origin: bool = False
    """Whether a change of scale resizes the whole world, as where poses are not metric."""

    scale_vote: ScaleVote | None = None
    """What it says of metres per unit of the scene."""

    checks: Sequence[PriorCheck] = ()
    """Residuals of each camera."""

    contradicted: frozenset[int] = frozenset()
    """Views whose known place or orientation disagrees."""

    def units(self, world_from_scene: Similarity) -> float:
        """Return how many units of the final world are in one of the known world."""
        if not self.about_origin:
            return 1.0
        return (world_from_scene.scale / self.world_from_scene.scale).item()

    def resized(self, scale: float) -> Similarity:
        """Return the similarity with another scale."""
        fit = self.world_from_scene
        factor = torch.tensor(scale, dtype=torch.float64)
        if self.about_origin:
            return Similarity(factor, fit.rotation, fit.translation * factor / fit.scale)
        shift = (fit.scale - factor) * (fit.rotation @ self.pivot)
        return Similarity(factor, fit.rotation, fit.translation + shift)


def align(found: FoundCameras, known: BoundPriors, *, seed: int) -> Alignment:
    """Return how cameras lie in the known world.

    Raises:
        ValueError: Latitude and longitude are swapped.
    """
    if known.poses:
        return _to_poses(found, known, seed)
    if known.geographic:
        return _to_gps(found, known, seed)
    return _to_gravity(found, known, seed)


def _unaligned(*checks: PriorCheck) -> Alignment:
    pivot = torch.zeros(3, dtype=torch.float64)
    return Alignment(Similarity.identity(), World(), pivot, checks=checks)


def _gravity(found: FoundCameras, known: BoundPriors) -> Targets:
    """Return what is known of gravity; photos count as upright where they are said to be."""
    gravity = known.priors.gravity
    targets = Targets.unknown(len(found.indices))
    if gravity is None or gravity.down == "upright":
        return replace(targets, level=~targets.level, photo_from_image=found.photo_from_image)
    down = targets.down.clone()
    for row, index in enumerate(found.indices):
        if index in known.down:
            down[row] = known.down[index]
    sigma_deg = math.hypot(gravity.sigma_deg, found.turn_sigma_deg.median().item())
    return replace(targets, down=down, down_sigma_rad=math.radians(sigma_deg))


def _to_gravity(
    found: FoundCameras, known: BoundPriors, seed: int, *unused: PriorCheck
) -> Alignment:
    """Return how cameras lie if nothing but gravity can tell it."""
    if known.priors.gravity is None or not found.indices:
        return _unaligned(*unused)
    targets = _gravity(found, known)
    fit = fit_world(found.centres, found.rotations, targets, seed=seed)
    pivot = torch.zeros(3, dtype=torch.float64)
    checks = [*unused, *gravity_checks(fit, found)]
    return Alignment(fit.world_from_scene, World("gravity"), pivot, checks=checks)


def _to_poses(found: FoundCameras, known: BoundPriors, seed: int) -> Alignment:
    rows = [row for row, index in enumerate(found.indices) if index in known.poses]
    if not rows:
        note = "no view with a known pose found its place among the others"
        return _unaligned(PriorCheck.unused("poses", note))
    prior = known.priors.poses
    assert prior is not None
    wanted = torch.stack([known.poses[found.indices[row]] for row in rows])
    targets = Targets.unknown(len(found.indices))
    targets.centres[rows], targets.rotations[rows] = wanted[:, :3, 3], wanted[:, :3, :3]
    place_sigma = found.place_sigma[rows] * spread(wanted[:, :3, 3])
    place_sigma = place_sigma.square().add(prior.position_sigma**2).sqrt().clamp(min=MIN_SIGMA)
    turn_sigma_deg = found.turn_sigma_deg[rows].square().add(prior.rotation_sigma_deg**2).sqrt()
    targets.centre_sigma[rows] = place_sigma[:, None].expand(-1, 3)
    targets.rotation_sigma_rad[rows] = turn_sigma_deg.deg2rad()
    fit = fit_world(found.centres, found.rotations, targets, seed=seed)
    vote = _scale_vote(fit, "known poses")
    resizes = vote is not None
    return Alignment(
        fit.world_from_scene,
        World("known poses"),
        found.centres[rows].mean(dim=0),
        scale_source="known poses" if resizes else "network",
        exact_scale=prior.metric and resizes,
        about_origin=not prior.metric and resizes,
        scale_vote=vote if prior.metric else None,
        checks=[
            *track_check(fit, found, targets),
            *pose_checks(fit, found, "m" if prior.metric else "units"),
        ],
        contradicted=contradicted_views(fit, found),
    )


def _to_gps(found: FoundCameras, known: BoundPriors, seed: int) -> Alignment:
    gps = known.priors.gps
    assert gps is not None
    local, origin = local_positions(known.geographic)
    rows = [row for row, index in enumerate(found.indices) if index in local]
    extent = spread(torch.stack([local[found.indices[row]] for row in rows])) if rows else 0.0
    if len(rows) < 2 or extent < _MIN_SPREAD_SIGMAS * gps.horizontal_sigma_m:
        note = (
            f"the {len(rows)} views with a place spread by {extent:.1f} m, no more than twice the "
            f"noise of {gps.horizontal_sigma_m:g} m"
        )
        return _to_gravity(found, known, seed, PriorCheck.unused("gps", note))
    targets = _gps_targets(found, known, local)
    fit = fit_world(found.centres, found.rotations, targets, seed=seed)
    _refuse_swapped(found, known, fit, seed)
    return Alignment(
        fit.world_from_scene,
        World("east north up", origin),
        found.centres[rows].mean(dim=0),
        scale_source="gps",
        scale_vote=_scale_vote(fit, "gps"),
        checks=[
            *track_check(fit, found, targets),
            *gps_checks(fit, found),
            *gravity_checks(fit, found),
        ],
        contradicted=contradicted_views(fit, found),
    )


def _gps_targets(
    found: FoundCameras, known: BoundPriors, local: dict[int, Float[Tensor, " 3"]]
) -> Targets:
    """Return places; photos count as upright unless gravity is known, for tracks that are lines."""
    gps = known.priors.gps
    assert gps is not None
    targets = _gravity(found, known)
    extent = spread(torch.stack(list(local.values())))
    sigma = torch.tensor(gps.sigmas_m, dtype=torch.float64)
    for row, index in enumerate(found.indices):
        if index in local:
            own = found.place_sigma[row] * extent
            targets.centres[row], targets.centre_sigma[row] = local[index], sigma.hypot(own)
            if local[index][2].isnan():
                targets.centres[row, 2] = 0
                targets.centre_sigma[row, 2] = UNKNOWN_ALTITUDE_M
    return targets


def _refuse_swapped(found: FoundCameras, known: BoundPriors, fit: WorldFit, seed: int) -> None:
    """Refuse positions that fit only with latitude and longitude exchanged.

    A mirrored track fits as well as the true one, but under it the photos stand on their heads.

    Raises:
        ValueError: They do.
    """
    if any(abs(longitude) > 90 for _, longitude, _ in known.geographic.values()):
        return
    if _share_standing(fit, found) > 0.5:
        return
    swapped = {i: (place[1], place[0], place[2]) for i, place in known.geographic.items()}
    local, _ = local_positions(swapped)
    targets = _gps_targets(found, known, local)
    other = fit_world(found.centres, found.rotations, targets, seed=seed)
    if _share_standing(other, found) > 0.8:
        raise ValueError(
            "gps: the photos contradict their positions, and fit them if latitude and longitude "
            "are exchanged; the order is latitude, longitude, altitude"
        )


def _share_standing(fit: WorldFit, found: FoundCameras) -> float:
    """Return the share of cameras that are where they are known to be, and not on their heads."""
    rotations = fit.world_from_scene.rotation @ found.rotations
    placed_and_falling = fit.agrees[:, 0] & fit.agrees[:, 2]
    return (placed_and_falling & (rotations[:, 2, 1] < 0.2)).double().mean().item()


def _scale_vote(fit: WorldFit, kind: str) -> ScaleVote | None:
    """Return what a fit says of the scale; None where it does not determine it."""
    if not math.isfinite(fit.log_scale_sigma):
        return None
    log_scale = math.log(fit.world_from_scene.scale.item())
    return ScaleVote(f"scale of {kind}", kind, log_scale, max(fit.log_scale_sigma, MIN_SIGMA))
