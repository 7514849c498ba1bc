"""How a scene lies in the world that poses, GPS or gravity tell of."""

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import Similarity, rotation_angle_deg
from fast3r.scene.priors.binding import BoundPriors, local_positions
from fast3r.scene.priors.found_cameras import FoundCameras, found_in
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.scales import ScaleVote
from fast3r.scene.priors.targets import Targets
from fast3r.scene.priors.world_fit import GATE, WorldFit, fit_world
from fast3r.scene.reconstruction import Reconstruction, World

_UNKNOWN_ALTITUDE_M = 1e4
_MIN_SPREAD_SIGMAS = 2.0
_MIN_SIGMA = 1e-6
_TRACK_SIGMAS = 3.0
"""Of the median error of a track, which is 1.5 by chance."""


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

    scale_votes: list[ScaleVote] = field(default_factory=list)
    """What it says of metres per unit of the scene."""

    checks: list[PriorCheck] = field(default_factory=list)
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


def align(scene: Reconstruction, known: BoundPriors, seed: int) -> Alignment:
    """Return how the scene lies in the known world.

    Raises:
        ValueError: Latitude and longitude are swapped.
    """
    return align_cameras(found_in(scene), known, seed)


def align_cameras(found: FoundCameras, known: BoundPriors, seed: int) -> Alignment:
    """Return how cameras lie in the known world.

    Raises:
        ValueError: Latitude and longitude are swapped.
    """
    if known.poses:
        return _to_poses(found, known, seed)
    if known.geographic:
        return _to_gps(found, known, seed)
    if known.priors.gravity is not None and found.indices:
        return _to_gravity(found, known, seed)
    return _unaligned([])


def _unaligned(checks: list[PriorCheck]) -> Alignment:
    identity = Similarity(
        torch.ones((), dtype=torch.float64),
        torch.eye(3, dtype=torch.float64),
        torch.zeros(3, dtype=torch.float64),
    )
    return Alignment(identity, World(), torch.zeros(3, dtype=torch.float64), checks=checks)


def _nothing(count: int) -> Targets:
    nan = torch.nan
    return Targets(
        centres=torch.full((count, 3), nan, dtype=torch.float64),
        centre_sigma=torch.ones(count, 3, dtype=torch.float64),
        rotations=torch.full((count, 3, 3), nan, dtype=torch.float64),
        rotation_sigma_rad=torch.ones(count, dtype=torch.float64),
        down=torch.full((count, 3), nan, dtype=torch.float64),
        down_sigma_rad=1.0,
        level=torch.zeros(count, dtype=torch.bool),
    )


def _gravity(found: FoundCameras, known: BoundPriors) -> Targets:
    """Return what is known of gravity; photos count as upright where they are said to be."""
    gravity = known.priors.gravity
    targets = _nothing(len(found.indices))
    if gravity is None or gravity.down == "upright":
        return replace(targets, level=~targets.level, photo_from_image=found.photo_from_image)
    down = targets.down.clone()
    for row, index in enumerate(found.indices):
        if index in known.down:
            down[row] = known.down[index]
    sigma_deg = math.hypot(gravity.sigma_deg, found.turn_sigma_deg.median().item())
    return replace(targets, down=down, down_sigma_rad=math.radians(sigma_deg))


def _to_gravity(found: FoundCameras, known: BoundPriors, seed: int) -> Alignment:
    targets = _gravity(found, known)
    fit = fit_world(found.centres, found.rotations, targets, seed=seed)
    pivot = torch.zeros(3, dtype=torch.float64)
    checks = _gravity_checks(fit, found)
    return Alignment(fit.world_from_scene, World("gravity"), pivot, checks=checks)


def _gravity_checks(fit: WorldFit, found: FoundCameras) -> list[PriorCheck]:
    targets = fit.targets
    down = (fit.world_from_scene.rotation @ found.rotations @ targets.down[..., None])[..., 0]
    angles_deg = (-down[:, 2]).clamp(-1, 1).acos().rad2deg()
    allowed = math.degrees(GATE * targets.down_sigma_rad)
    return [
        _check(f"gravity of {found.names[row]}", angles_deg[row].item(), allowed, "deg")
        for row in targets.hanging.nonzero()[:, 0].tolist()
    ]


def _to_poses(found: FoundCameras, known: BoundPriors, seed: int) -> Alignment:
    rows = [row for row, index in enumerate(found.indices) if index in known.poses]
    if not rows:
        note = "no view with a known pose found its place among the others"
        return _unaligned([PriorCheck("poses", "unused", note=note)])
    prior = known.priors.poses
    assert prior is not None
    wanted = torch.stack([known.poses[found.indices[row]] for row in rows])
    targets = _nothing(len(found.indices))
    targets.centres[rows], targets.rotations[rows] = wanted[:, :3, 3], wanted[:, :3, :3]
    place_sigma = found.place_sigma[rows] * spread(wanted[:, :3, 3])
    place_sigma = place_sigma.square().add(prior.position_sigma**2).sqrt().clamp(min=_MIN_SIGMA)
    turn_sigma_deg = found.turn_sigma_deg[rows].square().add(prior.rotation_sigma_deg**2).sqrt()
    targets.centre_sigma[rows] = place_sigma[:, None].expand(-1, 3)
    targets.rotation_sigma_rad[rows] = turn_sigma_deg.deg2rad()
    fit = fit_world(found.centres, found.rotations, targets, seed=seed)
    resizes = math.isfinite(fit.log_scale_sigma)
    return Alignment(
        fit.world_from_scene,
        World("known poses"),
        found.centres[rows].mean(dim=0),
        scale_source="known poses" if resizes else "network",
        exact_scale=prior.metric and resizes,
        about_origin=not prior.metric and resizes,
        scale_votes=[_scale_vote(fit, "known poses")] if prior.metric and resizes else [],
        checks=[
            *_track_check(fit, found, targets),
            *_pose_checks(fit, found, "m" if prior.metric else "units"),
        ],
        contradicted=_contradicted(fit, found),
    )


def _track_check(fit: WorldFit, found: FoundCameras, targets: Targets) -> list[PriorCheck]:
    """Say how unlike the known places all found ones are together, before a fit allows for it."""
    rows = targets.placed
    if rows.sum() < 3:
        return []
    # Where no altitude is known, the vertical tells nothing.
    axes = 3 if (targets.centre_sigma[rows, 2] < _UNKNOWN_ALTITUDE_M).all() else 2
    wanted = targets.centres[rows, :axes]
    off = fit.world_from_scene(found.centres)[rows, :axes] - wanted
    percent = 100 / max(spread(wanted), _MIN_SIGMA)
    allowed = _TRACK_SIGMAS * targets.centre_sigma[rows, 0].median().item()
    residual = off.norm(dim=-1).median().item()
    return [_check("track of the cameras", residual * percent, allowed * percent, "%")]


def _pose_checks(fit: WorldFit, found: FoundCameras, unit: str) -> list[PriorCheck]:
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
            _check(f"position of {name}", shifts[row].item(), allowed, unit),
            _check(f"rotation of {name}", angle_deg, GATE * sigma_deg, "deg"),
        ]
    return checks


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
        return _without_gps(found, known, PriorCheck("gps", "unused", note=note), seed)
    targets = _gps_targets(found, known, local)
    fit = fit_world(found.centres, found.rotations, targets, seed=seed)
    _refuse_swapped(found, known, fit, seed)
    return Alignment(
        fit.world_from_scene,
        World("east north up", origin),
        found.centres[rows].mean(dim=0),
        scale_source="gps",
        scale_votes=[_scale_vote(fit, "gps")] if math.isfinite(fit.log_scale_sigma) else [],
        checks=[
            *_track_check(fit, found, targets),
            *_gps_checks(fit, found),
            *_gravity_checks(fit, found),
        ],
        contradicted=_contradicted(fit, found),
    )


def _without_gps(
    found: FoundCameras, known: BoundPriors, check: PriorCheck, seed: int
) -> Alignment:
    if known.priors.gravity is None or not found.indices:
        return _unaligned([check])
    aligned = _to_gravity(found, known, seed)
    return replace(aligned, checks=[check, *aligned.checks])


def _gps_targets(
    found: FoundCameras, known: BoundPriors, local: dict[int, Float[Tensor, " 3"]]
) -> Targets:
    """Return places; photos count as upright unless gravity is known, for tracks that are lines."""
    gps = known.priors.gps
    assert gps is not None
    targets = _gravity(found, known)
    extent = spread(torch.stack(list(local.values())))
    sigmas = (gps.horizontal_sigma_m, gps.horizontal_sigma_m, gps.vertical_sigma_m)
    sigma = torch.tensor(sigmas, dtype=torch.float64)
    for row, index in enumerate(found.indices):
        if index in local:
            own = found.place_sigma[row] * extent
            targets.centres[row], targets.centre_sigma[row] = local[index], sigma.hypot(own)
            if local[index][2].isnan():
                targets.centres[row, 2] = 0
                targets.centre_sigma[row, 2] = _UNKNOWN_ALTITUDE_M
    return targets


def _gps_checks(fit: WorldFit, found: FoundCameras) -> list[PriorCheck]:
    targets = fit.targets
    off = (fit.world_from_scene(found.centres) - targets.centres).abs()
    checks = []
    for row in targets.placed.nonzero()[:, 0].tolist():
        sigma = targets.centre_sigma[row]
        known = 3 if sigma[2] < _UNKNOWN_ALTITUDE_M else 2
        # The same gate as in the fit, which counts in standard deviations, along this error.
        length = off[row, :known].norm().item()
        sigmas = (off[row, :known] / sigma[:known]).norm().item()
        allowed = GATE * (length / sigmas if sigmas > 0 else sigma[0].item())
        checks.append(_check(f"gps of {found.names[row]}", length, allowed, "m"))
    return checks


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
    local, _ = local_positions(known.geographic, swapped=True)
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


def _contradicted(fit: WorldFit, found: FoundCameras) -> frozenset[int]:
    off = (fit.targets.placed & ~fit.agrees[:, 0]) | (fit.targets.turned & ~fit.agrees[:, 1])
    return frozenset(found.indices[row] for row in off.nonzero()[:, 0].tolist())


def _scale_vote(fit: WorldFit, kind: str) -> ScaleVote:
    log_scale = math.log(fit.world_from_scene.scale.item())
    return ScaleVote(f"scale of {kind}", kind, log_scale, max(fit.log_scale_sigma, _MIN_SIGMA))


def spread(points: Float[Tensor, "points axes"]) -> float:
    """Return the root mean square distance of points from their mean, in known coordinates."""
    known = points.nan_to_num(0)
    return (known - known.mean(dim=0)).square().sum(dim=-1).mean().sqrt().item()


def _check(name: str, residual: float, allowed: float, unit: str) -> PriorCheck:
    status = "agrees" if residual <= allowed else "disagrees"
    return PriorCheck(name, status, residual, allowed, unit)
