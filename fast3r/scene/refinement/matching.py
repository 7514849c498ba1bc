"""Which feature of one photo is which of another, made sure of by epipolar geometry."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from fast3r.scene.refinement.features import Effort, Features, import_pycolmap
from fast3r.scene.refinement.photos import WorkingPhoto

_MAX_RATIO = {"usual": 0.8, "thorough": 0.85}
"""Of the angle to the nearest over that to the second nearest descriptor (Lowe, 2004)."""

_MAX_ANGLE = 0.7
"""Between descriptors of a match, in radians; COLMAP's."""

_MIN_MATCHES = 10
"""Fewer verified matches than this come by chance."""

_MAX_MATCHES = 1000
"""Of one pair, of small and large features alike; more cost time and tell little new."""

_CHUNK = 1024
"""Features compared at a time, so that a table of similarities stays small."""

_ALL_PAIRS_UP_TO = 40
"""Views of which every pair is matched."""

_PREVIEW = 384
"""Features, the largest of each photo, by which likely pairs are found (Wu, 2013)."""

_NEIGHBOURS = 16
"""Likely pairs of each view, where not all are matched."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class VerifiedPair:
    """Matches of two photos that one epipolar geometry explains."""

    matches: Int[Tensor, "matches 2"]
    """Indices of features of the first and of the second photo."""

    geometry: Any
    """pycolmap's TwoViewGeometry of these."""


def likely_pairs(features: Sequence[Features]) -> list[Pair]:
    """Return the pairs worth matching: all of a small set, else each view's likeliest partners."""
    pairs = list(combinations(range(len(features)), 2))
    if len(features) <= _ALL_PAIRS_UP_TO:
        return pairs
    largest = [Features(f.positions[:_PREVIEW], f.descriptors[:_PREVIEW]) for f in features]
    votes = torch.zeros(len(features), len(features))
    for i, j in pairs:
        votes[i, j] = votes[j, i] = len(match(largest[i], largest[j], "usual"))
    chosen = votes.topk(min(_NEIGHBOURS, len(features) - 1), dim=1).indices
    wanted = {(min(i, j), max(i, j)) for i, row in enumerate(chosen.tolist()) for j in row}
    return sorted((i, j) for i, j in wanted if i != j)


def match(first: Features, second: Features, effort: Effort) -> Int[Tensor, "matches 2"]:
    """Return pairs of features that are each other's nearest by far."""
    if len(first) < 2 or len(second) < 2:
        return torch.zeros(0, 2, dtype=torch.long)
    a, b = _unit(first.descriptors), _unit(second.descriptors)
    found = [_nearest(chunk, b, effort) for chunk in a.split(_CHUNK)]
    partner = torch.cat([index for index, _ in found])
    distinct = torch.cat([good for _, good in found]).nonzero()[:, 0]
    if len(distinct) == 0:
        return torch.zeros(0, 2, dtype=torch.long)
    # Only the few that passed are looked up the other way.
    back, good = _nearest(b[partner[distinct]], a, effort)
    mutual = distinct[good & (back == distinct)]
    return torch.stack((mutual, partner[mutual]), dim=1)


def verify(
    photos: Sequence[WorkingPhoto],
    features: Sequence[Features],
    matches: Int[Tensor, "matches 2"],
    *,
    seed: int,
) -> VerifiedPair | None:
    """Return those matches that an epipolar geometry explains; None where they are too few.

    Args:
        photos: Two.
        features: Of these.
        matches: Indices of features of the first and of the second photo.
        seed: Of all sampling.
    """
    if len(matches) < _MIN_MATCHES:
        return None
    pycolmap = import_pycolmap()
    options = pycolmap.TwoViewGeometryOptions(min_num_inliers=_MIN_MATCHES)
    options.ransac.random_seed = seed
    first, second = (working_camera(photo) for photo in photos)
    here, there = (found.positions.double().numpy() for found in features)
    candidates = matches.numpy().astype(np.uint32)
    geometry = pycolmap.estimate_two_view_geometry(first, here, second, there, candidates, options)
    inliers = np.array(geometry.inlier_matches, np.int64).reshape(-1, 2)
    if len(inliers) < _MIN_MATCHES:
        return None
    # Features are sorted by size, and so are their indices.
    kept = inliers[np.argsort(inliers[:, 0], kind="stable")]
    if len(kept) > _MAX_MATCHES:
        kept = kept[np.linspace(0, len(kept) - 1, _MAX_MATCHES).round().astype(int)]
    geometry.inlier_matches = kept.astype(np.uint32)
    return VerifiedPair(torch.from_numpy(kept), geometry)


def working_camera(photo: WorkingPhoto) -> Any:
    """Return pycolmap's camera of a photo, with one radial coefficient where it is not known."""
    model = "SIMPLE_RADIAL"
    parameters = [photo.focal_px, photo.width / 2, photo.height / 2, 0.0]
    if photo.intrinsics is not None:
        (fx, _, cx), (_, fy, cy), _ = photo.intrinsics.tolist()
        model, parameters = "PINHOLE", [fx, fy, cx, cy]
    camera = import_pycolmap().Camera(
        model=model, width=photo.width, height=photo.height, params=parameters
    )
    camera.has_prior_focal_length = photo.focal_is_told
    return camera


def _unit(descriptors: UInt8[Tensor, "features 128"]) -> Float[Tensor, "features 128"]:
    values = descriptors.float()
    return values / torch.linalg.vector_norm(values, dim=1, keepdim=True).clamp(min=1)


def _nearest(
    queries: Float[Tensor, "queries 128"], others: Float[Tensor, "others 128"], effort: Effort
) -> tuple[Int[Tensor, " queries"], Bool[Tensor, " queries"]]:
    """Return the nearest of the others, and whether it is near and nearer by far than the rest."""
    similarity, index = (queries @ others.mT).topk(2, dim=1)
    angle = similarity.clamp(-1, 1).acos()
    return index[:, 0], (angle[:, 0] < _MAX_RATIO[effort] * angle[:, 1]) & (
        angle[:, 0] < _MAX_ANGLE
    )
