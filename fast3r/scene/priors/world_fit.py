"""The similarity that takes a scene to the world that is known of some of its cameras.

The best of the similarities that a few cameras determine (RANSAC), then Gauss-Newton on all with
Geman-McClure weights, and last on those that agree alone, so that what contradicts them moves
nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.robust import geman_mcclure_weight
from fast3r.geometry.transforms import (
    Similarity,
    fit_similarity,
    nearest_rotation,
    rotation_exp,
)
from fast3r.scene.priors.targets import GROUPS, Targets, residuals

GATE = 4.0
"""Standard deviations beyond which a camera contradicts; in 3D, 1 of 900 is there by chance."""

MIN_SIGMA = 1e-6
"""Of what is told to be exact, so that it can be divided by."""

# The length of a 3D Gaussian error of standard deviation 1 per axis has this median.
_MEDIAN_LENGTH = 1.538
# Of a scene that is bent more than this, it is better said that it contradicts what is known. With
# half of the poses of 10 photo sets known, 3 placed the other half best, of 1 to 100.
_MAX_LOOSENING = 3.0
_HALVINGS = 8
# So wide that it decides only where nothing else does.
_LOG_SCALE_SIGMA = 2.0
_CANDIDATES = 150
_STEPS = 12
_STEP = 1e-6
# Holds what nothing determines, such as the turn about the vertical under gravity alone.
_RIDGE = 1e-9


@dataclass(frozen=True)
class WorldFit:
    """Where a scene lies in the known world."""

    world_from_scene: Similarity
    """In float64; what nothing determines is left as it was."""

    targets: Targets
    """What was known, with the standard deviations that the fit found."""

    agrees: Bool[Tensor, "cameras groups"]
    """Which of place, rotation, gravity and level of each camera agree, where they are known."""

    log_scale_sigma: float
    """Standard deviation of the logarithm of the scale; infinite where nothing determines it."""


def fit_world(
    centres: Float[Tensor, "cameras 3"],
    rotations: Float[Tensor, "cameras 3 3"],
    targets: Targets,
    *,
    seed: int = 0,
) -> WorldFit:
    """Return the similarity that takes cameras to what is known of them; all in float64."""
    problem = _Problem(centres, rotations, targets)
    fit, _ = problem.steps(min(problem.candidates(seed), key=problem.robust_cost))
    targets = _as_exact_as_found(targets, problem.residuals(fit))
    problem = _Problem(centres, rotations, targets)
    fit, _ = problem.steps(fit)
    agrees = _group_lengths(problem.residuals(fit)) < GATE
    fit, covariance = problem.steps(fit, agrees.to(torch.float64))
    agrees = _group_lengths(problem.residuals(fit)) < GATE
    determined = bool((targets.placed & agrees[:, 0]).sum() >= 2)
    sigma = covariance[3, 3].sqrt().item() if determined else math.inf
    return WorldFit(fit, targets, agrees, sigma)


def _as_exact_as_found(targets: Targets, found: Float[Tensor, "cameras 12"]) -> Targets:
    """Return targets whose standard deviations are no smaller than most residuals say."""
    lengths = _group_lengths(found)
    factors = []
    for group, known in ((0, targets.placed), (1, targets.turned)):
        typical = lengths[known, group].median().item() / _MEDIAN_LENGTH if known.any() else 1.0
        factors.append(min(max(typical, 1.0), _MAX_LOOSENING))
    return replace(
        targets,
        centre_sigma=targets.centre_sigma * factors[0],
        rotation_sigma_rad=targets.rotation_sigma_rad * factors[1],
    )


class _Problem:
    """Cameras of a scene, and what is known of them."""

    def __init__(self, centres: Tensor, rotations: Tensor, targets: Targets) -> None:
        self.centres, self.rotations, self.targets = centres, rotations, targets
        placed = targets.placed
        self._usual_scale = 1.0
        if placed.sum() >= 2:
            ratio = (_reach(targets.centres[placed]) / _reach(centres[placed])).item()
            self._usual_scale = ratio if math.isfinite(ratio) and ratio > 0 else 1.0

    def residuals(self, fit: Similarity) -> Float[Tensor, "cameras 12"]:
        """Return the residuals of all groups after a similarity."""
        return residuals(self.targets, fit(self.centres), fit.rotation @ self.rotations)

    def robust_cost(self, fit: Similarity) -> float:
        """Return the sum of Geman-McClure losses."""
        squared = _group_lengths(self.residuals(fit)).square().nan_to_num(torch.inf)
        return (1 - 1 / (1 + squared / GATE**2)).sum().item()

    def steps(
        self, fit: Similarity, weights: Float[Tensor, "cameras groups"] | None = None
    ) -> tuple[Similarity, Float[Tensor, "7 7"]]:
        """Return the fit after Gauss-Newton steps, and the covariance of its parameters.

        Args:
            fit: Where to begin.
            weights: Of the groups; by default those of Geman and McClure, anew in each step.
        """
        covariance = torch.zeros(7, 7, dtype=torch.float64)
        scale = torch.tensor([[GATE]], dtype=torch.float64)
        for _ in range(_STEPS):
            before, used = fit, weights
            if used is None:
                lengths = _group_lengths(self.residuals(fit))
                used = geman_mcclure_weight(lengths.square(), scale)
            fit, covariance = self._step(fit, used)
            if torch.allclose(fit.matrix, before.matrix, rtol=1e-9, atol=1e-9):
                break
        return fit, covariance

    def _step(
        self, fit: Similarity, weights: Float[Tensor, "cameras groups"]
    ) -> tuple[Similarity, Float[Tensor, "7 7"]]:
        """Return the fit after one step, and the covariance of its parameters."""
        repeats = torch.tensor(GROUPS)
        root = weights.sqrt().repeat_interleave(repeats, dim=-1).flatten()
        here = self._weighted(fit, root)
        unit = self._unit(fit)
        columns = []
        for parameter in range(7):
            nudge = torch.zeros(7, dtype=torch.float64)
            nudge[parameter] = _STEP
            there = self._weighted(_moved(fit, nudge, unit), root)
            columns.append((there - here) / _STEP)
        jacobian = torch.stack(columns, dim=-1)
        hessian = jacobian.mT @ jacobian + _RIDGE * torch.eye(7, dtype=torch.float64)
        delta = -torch.linalg.solve(hessian, jacobian.mT @ here)
        covariance = torch.linalg.inv(hessian)
        for halving in range(_HALVINGS):
            moved = _moved(fit, delta / 2**halving, unit)
            if self._weighted(moved, root).norm() <= here.norm():
                return moved, covariance
        return fit, covariance

    def _weighted(self, fit: Similarity, root: Float[Tensor, " rows"]) -> Float[Tensor, " all"]:
        """Return all residuals by the root of their weights, and that of the scale.

        Without the last, a scene that is unlike its places would shrink to a point among them.
        """
        scale = (fit.scale / self._usual_scale).log() / _LOG_SCALE_SIGMA
        return torch.cat((self.residuals(fit).flatten() * root, scale[None]))

    def _unit(self, fit: Similarity) -> float:
        """Return a length of the target world, in which a shift is counted."""
        known = self.targets.centre_sigma[self.targets.placed]
        return known.median().item() if len(known) else 1.0

    def candidates(self, seed: int) -> Iterator[Similarity]:
        """Yield similarities that a few of the cameras determine."""
        placed = self.targets.placed.nonzero()[:, 0].tolist()
        turned = self.targets.turned.nonzero()[:, 0].tolist()
        for rotation in self._upright_rotations():
            yield self._at(rotation, 1.0, placed[:1])
            for pair in _some(placed, 2, seed):
                yield self._about_vertical(rotation, pair)
        for index in turned:
            yield self._at(self._turn([index]), 1.0, [index] if index in placed else placed[:1])
        for pair in _some([index for index in turned if index in placed], 2, seed):
            yield self._at(self._turn(pair), self._ratio(pair), pair)
        for triple in _some(placed, 3, seed):
            chosen = torch.tensor(triple)
            fit = fit_similarity(self.centres[chosen], self.targets.centres[chosen])
            if fit.matrix.isfinite().all() and fit.scale > 0:
                yield fit

    def _upright_rotations(self) -> Iterator[Float[Tensor, "3 3"]]:
        """Yield rotations that make gravity fall along -z: by what is told, else by level rows."""
        hanging, level = self.targets.hanging, self.targets.level
        if hanging.any():
            down = (self.rotations @ self.targets.down[..., None])[hanging, :, 0]
            # One wrong direction must not spoil the start, so each has its say.
            yield from (_turning(direction, (0, 0, -1)) for direction in (down.mean(dim=0), *down))
        elif level.any():
            right, below = self.rotations[level, :, 0], self.rotations[level, :, 1]
            # Level rows are orthogonal to the vertical; where they are all alike, columns help.
            spread = right.mT @ right - 0.05 * below.mT @ below
            vertical = torch.linalg.eigh(spread).eigenvectors[:, 0]
            yield _turning(vertical * (vertical @ below.sum(dim=0)).sign(), (0, 0, -1))
            yield _turning(below.mean(dim=0), (0, 0, -1))
        if not self.targets.placed.any() and not self.targets.turned.any():
            yield torch.eye(3, dtype=torch.float64)

    def _turn(self, cameras: list[int]) -> Float[Tensor, "3 3"]:
        relative = self.targets.rotations[cameras] @ self.rotations[cameras].mT
        return nearest_rotation(relative.sum(dim=0))

    def _ratio(self, pair: list[int]) -> float:
        first, second = pair
        known = (self.targets.centres[first] - self.targets.centres[second]).norm()
        found = (self.centres[first] - self.centres[second]).norm()
        ratio = (known / found).item()
        return ratio if math.isfinite(ratio) and ratio > 0 else 1.0

    def _at(self, rotation: Tensor, scale: float, cameras: list[int]) -> Similarity:
        factor = torch.tensor(scale, dtype=torch.float64)
        if not cameras:
            return Similarity(factor, rotation, torch.zeros(3, dtype=torch.float64))
        mean, target = self.centres[cameras].mean(dim=0), self.targets.centres[cameras].mean(dim=0)
        return Similarity(factor, rotation, target - factor * rotation @ mean)

    def _about_vertical(self, rotation: Tensor, pair: list[int]) -> Similarity:
        """Return an upright rotation turned about the vertical so that a pair points its way."""
        first, second = pair
        found = rotation @ (self.centres[second] - self.centres[first])
        known = self.targets.centres[second] - self.targets.centres[first]
        angle = torch.atan2(known[1], known[0]) - torch.atan2(found[1], found[0])
        turn = rotation_exp(torch.stack((angle * 0, angle * 0, angle)))
        return self._at(turn @ rotation, self._ratio(pair), pair)


def _some(cameras: list[int], size: int, seed: int) -> Iterator[list[int]]:
    """Yield some of the sets of cameras of a size, all of them where they are few."""
    if len(cameras) < size:
        return
    if math.comb(len(cameras), size) <= _CANDIDATES:
        yield from (list(chosen) for chosen in combinations(cameras, size))
        return
    generator = torch.Generator().manual_seed(seed)
    for _ in range(_CANDIDATES):
        order = torch.randperm(len(cameras), generator=generator)[:size]
        yield [cameras[place] for place in order.tolist()]


def _moved(fit: Similarity, delta: Float[Tensor, " 7"], unit: float) -> Similarity:
    """Return a similarity after a turn and a resizing of the scene and a shift of the world."""
    return Similarity(
        fit.scale * delta[3].exp(),
        rotation_exp(delta[:3]) @ fit.rotation,
        fit.translation + delta[4:] * unit,
    )


def _turning(source: Tensor, target: tuple[float, float, float]) -> Float[Tensor, "3 3"]:
    """Return the smallest rotation that takes one direction to another."""
    start = source / source.norm().clamp(min=1e-12)
    end = torch.tensor(target, dtype=source.dtype)
    axis = torch.linalg.cross(start, end)
    sine, cosine = axis.norm(), start @ end
    if sine > 1e-9:
        return rotation_exp(axis / sine * torch.atan2(sine, cosine))
    if cosine > 0:
        return torch.eye(3, dtype=source.dtype)
    sideways = torch.linalg.cross(start, torch.eye(3, dtype=source.dtype)[start.abs().argmin()])
    return rotation_exp(sideways / sideways.norm() * math.pi)


def _reach(points: Float[Tensor, "points 3"]) -> Float[Tensor, ""]:
    """Return the median distance of points from their median; a few that stray do not matter."""
    # The mean of the two in the middle, so that two points have a reach.
    return (points - points.quantile(0.5, dim=0)).norm(dim=-1).quantile(0.5)


def _group_lengths(values: Float[Tensor, "cameras 12"]) -> Float[Tensor, "cameras groups"]:
    return torch.stack([part.norm(dim=-1) for part in values.split(GROUPS, dim=-1)], dim=-1)
