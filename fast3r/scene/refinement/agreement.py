"""How well cameras agree with matches: the measure by which results are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.triangulation import triangulate
from fast3r.scene.refinement.evidence import Evidence
from fast3r.scene.refinement.matching import Pair, VerifiedPair
from fast3r.scene.refinement.photos import WorkingPhoto
from fast3r.scene.refinement.sparse import SparseCamera

_GOOD_PX = 3.0
"""Reprojection error, in working pixels, up to which cameras explain a match."""

_FULL_MATCHES = 100
"""Matches of a pair that count one by one; further ones say little that these did not."""

_UNDISTORT_STEPS = 5

Cameras = Mapping[int, SparseCamera]


@dataclass(frozen=True)
class Agreement:
    """Of cameras with verified matches."""

    score: float
    """Share of the matches that the cameras explain, no pair counting for more than its first
    hundred. Pairs with a view that has no camera are not explained."""

    error_px: Float[Tensor, " matches"]
    """Reprojection error of each match of pairs with cameras; infinite behind a camera."""

    by_view: dict[int, Float[Tensor, " _matches"]]
    """The same for the matches of each view."""

    def num_explained(self, view: int) -> int:
        """Return how many matches of a view its camera and the others explain."""
        return int((self.by_view.get(view, torch.zeros(0)) < _GOOD_PX).sum())

    def median_px(self, view: int | None = None) -> float | None:
        """Return the median error, of one view or all; None without any match."""
        errors = self.error_px if view is None else self.by_view.get(view, torch.zeros(0))
        return errors.median().item() if len(errors) else None


def agreement(
    cameras: Cameras,
    evidence: Evidence,
    *,
    groups: Sequence[set[int]] | None = None,
) -> Agreement:
    """Return how well cameras explain verified matches, each triangulated by itself.

    Args:
        cameras: By index of the view.
        evidence: The matches, found without these cameras.
        groups: Views whose cameras have a world in common; by default all do.
    """
    explained, possible = 0.0, 0.0
    errors: list[Tensor] = [torch.zeros(0)]
    by_view: dict[int, list[Tensor]] = {}
    for (i, j), pair in evidence.verified.items():
        weight = min(len(pair.matches), _FULL_MATCHES)
        possible += weight
        apart = groups is not None and not any({i, j} <= group for group in groups)
        if i not in cameras or j not in cameras or apart:
            continue
        error = _errors((i, j), pair, cameras, evidence)
        explained += weight * (error < _GOOD_PX).double().mean().item()
        errors.append(error)
        for view in (i, j):
            by_view.setdefault(view, []).append(error)
    score = explained / possible if possible else 0.0
    return Agreement(score, torch.cat(errors), {v: torch.cat(e) for v, e in by_view.items()})


def undistorted(
    positions: Float[Tensor, "points 2"], camera: SparseCamera, photo: WorkingPhoto
) -> Float[Tensor, "points 2"]:
    """Return where a pinhole camera would have seen what a lens saw at these positions."""
    centre = positions.new_tensor([photo.width / 2, photo.height / 2])
    seen = (positions - centre) / camera.focal_px
    ideal = seen
    for _ in range(_UNDISTORT_STEPS):
        ideal = seen / (1 + camera.distortion * ideal.square().sum(dim=-1, keepdim=True))
    return ideal * camera.focal_px + centre


def intrinsics_of(camera: SparseCamera, photo: WorkingPhoto) -> Float[Tensor, "3 3"]:
    """Return the pinhole part in working pixels, in float64."""
    if camera.intrinsics is not None:
        return camera.intrinsics
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[0, 0] = matrix[1, 1] = camera.focal_px
    matrix[0, 2], matrix[1, 2] = photo.width / 2, photo.height / 2
    return matrix


def _errors(
    ids: Pair, pair: VerifiedPair, cameras: Cameras, evidence: Evidence
) -> Float[Tensor, " matches"]:
    photos = evidence.photos
    positions = [
        undistorted(
            evidence.features[i].positions[pair.matches[:, k]].double(), cameras[i], photos[i]
        )
        for k, i in enumerate(ids)
    ]
    found = triangulate(
        torch.stack(positions, dim=1),
        torch.tensor([0, 1]).expand(len(pair.matches), 2),
        torch.stack([intrinsics_of(cameras[i], photos[i]) for i in ids]),
        torch.stack([cameras[i].world_from_camera for i in ids]),
    )
    return found.reprojection_px.nan_to_num(nan=torch.inf)
