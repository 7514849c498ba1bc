"""How photos are turned relative to each other, and what the motion between them says of up.

From SIFT matches (Lowe, 2004): each feature has an orientation, so every match tells by how much
one photo is turned against the other about the line of sight.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from fast3r.geometry.cameras import pinhole, rays_through
from fast3r.scene.refinement.features import Features, grey, import_pycolmap
from fast3r.scene.refinement.matching import (
    Pair,
    VerifiedPair,
    likely_pairs,
    match,
    verify,
    working_camera,
)
from fast3r.scene.refinement.photos import WorkingPhoto, belongs
from fast3r.scene.stages import StageRecorder

SIDE_PX = 640
"""Longest side at which features are looked for: turns need no fine detail."""

_MAX_FEATURES = 1500
_PEAK_THRESHOLD = 0.004
_MIN_DEPTHS = 15


@dataclass(frozen=True)
class PairMotion:
    """What the verified matches of two photos tell."""

    pair: Pair
    """Indices of the photos, the smaller first."""

    matches: int
    """Verified ones."""

    roll_deg: float
    """Mean angle by which features are turned clockwise from the first photo to the second."""

    spread_deg: float
    """Circular standard deviation of that angle over the matches."""

    second_from_first: Float[Tensor, "3 3"]
    """Rotation between the cameras."""

    direction: Float[Tensor, "2 3"]
    """Unit vector of the translation between the cameras, in each camera's frame."""

    farther: Float[Tensor, "2 2"]
    """In each photo, correlation of the logarithm of depth with x and with y; 0 where unknown."""


@dataclass(frozen=True)
class _Oriented:
    """A photo, its features, and how each is turned clockwise, in radians."""

    photo: WorkingPhoto
    features: Features
    angles: Float[Tensor, " features"]


def pair_motions(
    photos: Sequence[WorkingPhoto], *, seed: int, recorder: StageRecorder
) -> list[PairMotion]:
    """Return what is seen in the pairs of photos that have enough matches.

    Raises:
        ImportError: pycolmap is not installed.
    """
    found: list[_Oriented] = []
    with recorder.stage("upright: features") as tell:
        for photo in photos:
            found.append(_find(photo))
            tell(len(found), len(photos))
    motions = []
    with recorder.stage("upright: matches") as tell:
        pairs = likely_pairs([each.features for each in found])
        for done, pair in enumerate(pairs, start=1):
            motion = _motion(found, pair, seed)
            motions += [] if motion is None else [motion]
            tell(done, len(pairs))
    return motions


def _find(photo: WorkingPhoto) -> _Oriented:
    pycolmap = import_pycolmap("finding which way is up")
    options = pycolmap.FeatureExtractionOptions(num_threads=1, use_gpu=False)
    options.sift.peak_threshold = _PEAK_THRESHOLD
    options.sift.max_num_features = _MAX_FEATURES
    extractor = pycolmap.FeatureExtractor.create(options, pycolmap.Device.cpu)
    keypoints, descriptors = extractor.extract_from_uint8_array(grey(photo.pixels))
    shapes = torch.from_numpy(np.array(pycolmap.keypoints_to_matrix(keypoints), np.float32))
    if len(shapes) == 0:
        nothing = Features(torch.zeros(0, 2), torch.zeros(0, 128, dtype=torch.uint8))
        return _Oriented(photo, nothing, torch.zeros(0))
    numbers = torch.from_numpy(np.array(descriptors.data, np.uint8)).reshape(-1, 128)
    positions = shapes[:, :2] + torch.tensor([photo.left, photo.top])
    keep = belongs(photo, positions).nonzero()[:, 0]
    order = keep[shapes[keep, 2].argsort(descending=True, stable=True)]
    return _Oriented(photo, Features(positions[order], numbers[order]), shapes[order, 3])


def _motion(found: Sequence[_Oriented], pair: Pair, seed: int) -> PairMotion | None:
    first, second = (found[i] for i in pair)
    verified = _verified(first, second, seed)
    if verified is None:
        return None
    a, b = verified.matches.unbind(-1)
    second_from_first = torch.from_numpy(np.array(verified.geometry.cam2_from_cam1.matrix()))
    rotation, translation = second_from_first[:, :3], second_from_first[:, 3]
    back = -rotation.mT @ translation
    roll, spread = _circular(second.angles[b] - first.angles[a])
    rays_a, rays_b = _rays(first, a), _rays(second, b)
    trends = (
        _trend(rays_a, rays_b, rotation, translation),
        _trend(rays_b, rays_a, rotation.mT, back),
    )
    return PairMotion(
        pair=pair,
        matches=len(verified.matches),
        roll_deg=math.degrees(roll),
        spread_deg=math.degrees(spread),
        second_from_first=rotation,
        direction=torch.stack((normalize(back, dim=0), normalize(translation, dim=0))),
        farther=torch.stack(trends),
    )


def _verified(first: _Oriented, second: _Oriented, seed: int) -> VerifiedPair | None:
    """Return the matches of two photos and the motion that explains them; None without either."""
    matches = match(first.features, second.features, "usual")
    photos, features = [first.photo, second.photo], [first.features, second.features]
    verified = verify(photos, features, matches, seed=seed)
    if verified is None:
        return None
    known = import_pycolmap().estimate_two_view_geometry_pose(
        working_camera(first.photo),
        first.features.positions.double().numpy(),
        working_camera(second.photo),
        second.features.positions.double().numpy(),
        verified.geometry,
    )
    return verified if known else None


def _circular(angles: Float[Tensor, " matches"]) -> tuple[float, float]:
    """Return the mean of angles in radians, and their circular standard deviation."""
    cosine, sine = angles.cos().mean().item(), angles.sin().mean().item()
    length = max(math.hypot(cosine, sine), 1e-6)
    return math.atan2(sine, cosine), math.sqrt(max(0.0, -2 * math.log(length)))


def _rays(seen: _Oriented, chosen: Int[Tensor, " matches"]) -> Float[Tensor, "matches 3"]:
    photo = seen.photo
    focal_px = torch.tensor(photo.focal_px, dtype=torch.float64)
    intrinsics = pinhole(focal_px, photo.height, photo.width)
    return rays_through(seen.features.positions[chosen].double(), intrinsics)


def _trend(
    rays: Float[Tensor, "matches 3"],
    others: Float[Tensor, "matches 3"],
    other_from_this: Float[Tensor, "3 3"],
    translation: Float[Tensor, " 3"],
) -> Float[Tensor, " 2"]:
    """Return how log depth goes along with x and y of a photo: correlations, 0 with few points."""
    seen = torch.linalg.cross(others, rays @ other_from_this.mT)
    shift = torch.linalg.cross(others, translation.expand_as(others))
    depth = -(seen * shift).sum(-1) / seen.square().sum(-1).clamp(min=1e-12)
    ahead = depth > 0
    if ahead.sum() < _MIN_DEPTHS:
        return torch.zeros(2, dtype=torch.float64)
    logs = depth[ahead].log()
    low, high = logs.quantile(torch.tensor([0.05, 0.95]).double())
    table = torch.stack((logs.clamp(low, high), rays[ahead, 0], rays[ahead, 1]))
    return torch.corrcoef(table)[0, 1:].nan_to_num()
