"""How two scenes that have photos in common lie to each other.

Each shared photo tells it in two ways: by the points that both scenes see at its pixels, and by its
two cameras. Both propose a similarity; the one that brings more of the points together is kept and
refined on them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.alignment import align_local_to_world
from fast3r.geometry.lenses import ideal_from_photo
from fast3r.geometry.robust import geman_mcclure_weight, weighted_median
from fast3r.geometry.transforms import (
    Similarity,
    agreeing_rotations,
    fit_similarity,
    nearest_rotation,
    rotation_angle_deg,
    similarity_between_poses,
)
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.photos import network_pixels

TOLERANCE = 0.1
"""Points that land further than this from each other, relative to their depth, do not agree."""

_MIN_INLIER_RATIO = 0.25
# Fewer pixels than this are no evidence: the cameras have to do.
_MIN_PIXELS = 50
# Of all shared views together, at most and at least of each; bounds memory.
_ALL_PIXELS, _MOST_PIXELS, _LEAST_PIXELS = 65536, 4096, 64
_STEPS = 10
_SCALE_DEVIATIONS = 3.0
# The length of a 3D Gaussian error of standard deviation 1 per axis has this median.
_MEDIAN_LENGTH = 1.538
# Keeps the weights of noiseless points finite.
_MIN_NOISE = 1e-6


@dataclass(frozen=True)
class Joint:
    """How scene b lies in scene a."""

    a_from_b: Similarity | None
    """In float64; None where the shared views do not tell it."""

    inlier_ratio: float
    """Share of the confidence of the shared pixels whose two points come within a tenth of their
    depth of each other; where no pixel has depth in both scenes, of the cameras that agree."""

    residual: float
    """Median distance between the two points of a pixel, relative to their depth; where no pixel
    has depth in both, of the two places of a camera, relative to the spread of the cameras. nan
    where nothing is shared."""

    rotation_deg: float
    """Median angle between the two cameras of a shared view, after the map; nan without any."""

    views: int
    """Shared views with a camera in both scenes. From a single one a similarity nearly always
    follows, and nothing vouches for it."""

    reason: str | None
    """Why there is no similarity; None where there is."""


class _Pixels(NamedTuple):
    """What both scenes see at the same pixels of shared views; all in float64."""

    a: Float[Tensor, "points 3"]
    b: Float[Tensor, "points 3"]
    depth_a: Float[Tensor, " points"]
    depth_b: Float[Tensor, " points"]
    weight: Float[Tensor, " points"]
    """Geometric mean of the two confidences."""


class _Poses(NamedTuple):
    """Cameras of shared views; both in float64."""

    a: Float[Tensor, "views 4 4"]
    b: Float[Tensor, "views 4 4"]

    @property
    def turns(self) -> Float[Tensor, "views 3 3"]:
        """The rotation from b to a that each view tells."""
        return self.a[:, :3, :3] @ self.b[:, :3, :3].mT


def join(
    a: Reconstruction, b: Reconstruction, shared: Sequence[tuple[int, int]], *, seed: int = 0
) -> Joint:
    """Return the similarity that takes scene b to scene a.

    Args:
        a: Its world is the target.
        b: Any other scene; network sizes and crops of the shared photos may differ.
        shared: For each photo that both have, its index in a and its index in b.
        seed: Of all sampling; equal seeds give equal results.

    Raises:
        ValueError: The two of a pair are not of one photo, since their original sizes differ.
    """
    for i, j in shared:
        _check_same_photo(a, b, i, j)
    posed = [(i, j) for i, j in shared if a.cameras[i] is not None and b.cameras[j] is not None]
    if not posed:
        reason = f"none of the {len(shared)} shared views has a camera in both scenes"
        return Joint(
            None, 0.0, math.nan, math.nan, 0, reason if shared else "the scenes share no view"
        )
    poses = _Poses(_poses(a, [i for i, _ in posed]), _poses(b, [j for _, j in posed]))
    generator = torch.Generator().manual_seed(seed)
    count = min(_MOST_PIXELS, max(_LEAST_PIXELS, _ALL_PIXELS // len(posed)))
    each = [_shared_pixels(a, b, i, j, count, generator) for i, j in posed]
    pixels = _Pixels(*(torch.cat(parts) for parts in zip(*each, strict=True)))
    ratios = [weighted_median(p.depth_a / p.depth_b, p.weight) for p in each if len(p.weight)]
    if (pixels.weight > 0).sum() < _MIN_PIXELS:
        return _by_cameras(poses)
    return _by_points(pixels, poses, torch.stack(ratios).nanmedian(), seed)


def _check_same_photo(a: Reconstruction, b: Reconstruction, i: int, j: int) -> None:
    one, other = a.views[i], b.views[j]
    if (one.original_height, one.original_width) != (other.original_height, other.original_width):
        raise ValueError(
            f"shared views must be of one photo, but {one.name} has {one.original_width}x"
            f"{one.original_height} px and {other.name} {other.original_width}x"
            f"{other.original_height}; leave this pair out"
        )


def _poses(scene: Reconstruction, indices: Sequence[int]) -> Float[Tensor, "views 4 4"]:
    return torch.stack([scene.camera(index).world_from_camera.double() for index in indices])


def _shared_pixels(
    a: Reconstruction, b: Reconstruction, i: int, j: int, count: int, generator: torch.Generator
) -> _Pixels:
    """Return some pixels of a shared photo at which both scenes have depth.

    They are pixel centres of a, found in b by their place in the original photo.
    """
    pixels = a.valid(i).flatten().nonzero()[:, 0]
    original = a.original_pixels(i, pixels)
    ideal_a, ideal_b = (
        ideal_from_photo(original, scene.views[index].lens) for scene, index in ((a, i), (b, j))
    )
    column, row, known = network_pixels(b.views[j], ideal_b.nan_to_num(-1))
    both = (known & b.valid(j)[row, column]).nonzero()[:, 0]
    both = both[torch.randperm(len(both), generator=generator)[:count]]
    chosen, row, column = pixels[both], row[both], column[both]
    depth_a, depth_b = a.depth[i].flatten()[chosen].double(), b.depth[j][row, column].double()
    trust = a.confidence[i].flatten()[chosen].double() * b.confidence[j][row, column].double()
    return _Pixels(
        a.camera(i).lifted(ideal_a[both], depth_a),
        b.camera(j).lifted(ideal_b[both], depth_b),
        depth_a,
        depth_b,
        trust.clamp(min=0).sqrt(),
    )


def _by_points(pixels: _Pixels, poses: _Poses, scale: Float[Tensor, ""], seed: int) -> Joint:
    """Return the similarity by which most points agree."""
    candidates = [_between_points(pixels, seed), similarity_between_poses(poses.b, poses.a, scale)]
    candidates += [_refined(fit, pixels) for fit in candidates]
    best = min(candidates, key=lambda fit: _cost(fit, pixels))
    error = _relative_error(best, pixels)
    joint = Joint(
        a_from_b=best,
        inlier_ratio=((pixels.weight * (error < TOLERANCE)).sum() / pixels.weight.sum()).item(),
        residual=weighted_median(error, pixels.weight).item(),
        rotation_deg=_turned_deg(best, poses),
        views=len(poses.a),
        reason=None,
    )
    if joint.inlier_ratio >= _MIN_INLIER_RATIO:
        return joint
    reason = (
        f"only {joint.inlier_ratio:.0%} of what both scenes see in {joint.views} shared views "
        f"comes together, {_MIN_INLIER_RATIO:.0%} are needed"
    )
    return replace(joint, a_from_b=None, reason=reason)


def _between_points(pixels: _Pixels, seed: int) -> Similarity:
    """Return the similarity between the points; nan where they determine none."""
    # Far from the origin, as in a world of map coordinates, float32 has few digits left.
    middle_a, middle_b = pixels.a.median(dim=0).values, pixels.b.median(dim=0).values
    found = align_local_to_world(
        (pixels.b - middle_b)[None].float(),
        (pixels.a - middle_a)[None].float(),
        confidence=pixels.weight[None].float(),
        seed=seed,
    ).world_from_local
    scale, rotation = found.scale[0].double(), nearest_rotation(found.rotation[0].double())
    shift = middle_a - scale * (rotation @ middle_b)
    return Similarity(scale, rotation, found.translation[0].double() + shift)


def _refined(fit: Similarity, pixels: _Pixels) -> Similarity:
    """Return a similarity after reweighted fits to points, whose errors grow with their depth."""
    for _ in range(_STEPS):
        error = _relative_error(fit, pixels)
        near = pixels.weight * (error < TOLERANCE)
        noise = (weighted_median(error, near) / _MEDIAN_LENGTH).nan_to_num(TOLERANCE)
        scale = (_SCALE_DEVIATIONS * noise).clamp(min=_MIN_NOISE)
        robust = geman_mcclure_weight(error.square(), scale[None])
        weight = pixels.weight * robust / (pixels.depth_a * pixels.depth_b)
        fit = _fair(fit_similarity(pixels.b, pixels.a, weight), pixels, weight)
    return fit


def _fair(fit: Similarity, pixels: _Pixels, weight: Float[Tensor, " points"]) -> Similarity:
    """Return a fit whose scale is the inverse of that from a to b (Horn, 1987).

    Least squares in one direction shrinks what is noisy, and chains of scenes ever more.
    """
    shares = (weight / weight.sum())[:, None]
    middle_a, middle_b = (shares * pixels.a).sum(dim=0), (shares * pixels.b).sum(dim=0)
    reach_a, reach_b = (
        (shares * (points - middle).square()).sum()
        for points, middle in ((pixels.a, middle_a), (pixels.b, middle_b))
    )
    scale = (reach_a / reach_b).sqrt()
    return Similarity(scale, fit.rotation, middle_a - scale * (fit.rotation @ middle_b))


def _relative_error(fit: Similarity, pixels: _Pixels) -> Float[Tensor, " points"]:
    """Return how far points of b land from those of a, relative to their depth in both."""
    depth = (pixels.depth_a * pixels.depth_b * fit.scale).sqrt()
    return (fit(pixels.b) - pixels.a).norm(dim=-1) / depth


def _cost(fit: Similarity, pixels: _Pixels) -> float:
    """Return the mean squared error in units of the tolerance, none counting for more than 1."""
    squared = (_relative_error(fit, pixels) / TOLERANCE).square().nan_to_num(1.0).clamp(max=1)
    return ((pixels.weight * squared).sum() / pixels.weight.sum()).item()


def _turned_deg(fit: Similarity, poses: _Poses) -> float:
    return rotation_angle_deg(fit.rotation, poses.turns).median().item()


def _by_cameras(poses: _Poses) -> Joint:
    """Return the similarity between cameras alone, whose distances have to tell the scale."""
    agreeing = agreeing_rotations(poses.turns)
    centres_a, centres_b = poses.a[agreeing, :3, 3], poses.b[agreeing, :3, 3]
    apart_a, apart_b = torch.pdist(centres_a), torch.pdist(centres_b)
    views = len(poses.a)
    if len(apart_a) == 0 or not (apart_a.median() > 0 and apart_b.median() > 0):
        reason = (
            "the shared views have no depth in both scenes, and their cameras stand in one place: "
            "nothing tells the scale"
        )
        return Joint(None, 0.0, math.nan, math.nan, views, reason)
    fit = similarity_between_poses(poses.b, poses.a, (apart_a / apart_b).nanmedian())
    spread = apart_a.median()
    error = (fit(poses.b[:, :3, 3]) - poses.a[:, :3, 3]).norm(dim=-1) / spread
    near = ((error < 2 * TOLERANCE) & agreeing).double().mean().item()
    residual, turned_deg = error.median().item(), _turned_deg(fit, poses)
    if near * views >= 2 and near >= 0.5:
        return Joint(fit, near, residual, turned_deg, views, None)
    reason = f"only {near:.0%} of the cameras of {views} shared views agree, and none has depth"
    return Joint(None, near, residual, turned_deg, views, reason)
