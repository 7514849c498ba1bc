"""What structure from motion found, taken into the scene view by view where it is better."""

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import torch

from fast3r.geometry.cameras import Camera, pinhole, pixels_through
from fast3r.geometry.transforms import rotation_angle_deg
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.agreement import Agreement, agreement
from fast3r.scene.refinement.depth import AlignedDepth, align_depth
from fast3r.scene.refinement.evidence import Evidence
from fast3r.scene.refinement.photos import WorkingPhoto
from fast3r.scene.refinement.placement import depth_at, world_from_model
from fast3r.scene.refinement.record import RefinementRecord, ViewRefinement
from fast3r.scene.refinement.search import Found
from fast3r.scene.refinement.sparse import Sightings, SparseCamera
from fast3r.views.view import View

_MIN_EXPLAINED = 12
"""Matches of a view that its new camera must explain to be trusted: a pose has six numbers."""


class _Candidate(NamedTuple):
    """What structure from motion says of a view, in the world of the scene."""

    camera: SparseCamera
    seen: Sightings
    part: int
    """Which of the models it is from."""


def adopt(
    scene: Reconstruction,
    evidence: Evidence,
    found: Found | None,
    *,
    held: Collection[int] = (),
) -> Reconstruction:
    """Return the scene with the cameras that explain its matches better than its own.

    The others stay as they are. Depth maps of views with a new camera agree with its sparse points.

    Args:
        scene: To be refined.
        evidence: All verified matches.
        found: Cameras, in worlds of their own.
        held: Views that need not explain their matches better than before, as their new camera
            agrees with what is known of it.
    """
    photos = evidence.photos
    own = {i: _sparse_camera(scene.camera(i), photos[i]) for i in scene.registered}
    candidates = _candidates(scene, evidence, found)
    before = agreement(own, evidence)
    proposed = agreement(own | {i: c.camera for i, c in candidates.items()}, evidence)
    reasons = [
        _objection(index, before, proposed, held) if index in candidates else _lack(index, evidence)
        for index in range(len(photos))
    ]
    taken = {i: candidate for i, candidate in candidates.items() if reasons[i] is None}
    after = agreement(own | {i: c.camera for i, c in taken.items()}, evidence)
    aligned = {i: _aligned_depth(scene, i, c, photos[i].pitch) for i, c in taken.items()}
    refined = _with_cameras(scene, taken, aligned, photos)
    views = [
        _view_record(
            photos[index],
            (scene.cameras[index], refined.cameras[index]),
            reason,
            candidates.get(index),
            aligned.get(index),
            before_px=before.median_px(index),
            after_px=after.median_px(index),
        )
        for index, reason in enumerate(reasons)
    ]
    return replace(refined, refinement=_record(views, evidence, found, before, after))


def _candidates(
    scene: Reconstruction, evidence: Evidence, found: Found | None
) -> dict[int, _Candidate]:
    """Return the views of all models of which it is known where they lie."""
    candidates: dict[int, _Candidate] = {}
    for part, model in enumerate(found.models if found else []):
        world = world_from_model(model, scene, [photo.pitch for photo in evidence.photos])
        if world is None and candidates:
            continue  # Nothing says where it lies beside the others.
        moved = model if world is None else model.moved(world)
        for index, camera in moved.cameras.items():
            candidates[index] = _Candidate(camera, moved.sightings[index], part)
    return candidates


def _lack(index: int, evidence: Evidence) -> str:
    """Return why nothing was found of a view."""
    partners = sum(index in pair for pair in evidence.verified)
    if partners == 0:
        return "none of its features match those of another view"
    return f"its matches with {partners} other views fit no camera"


def _objection(
    index: int, before: Agreement, proposed: Agreement, held: Collection[int]
) -> str | None:
    """Return why a view keeps what it has; None where it gets the proposed camera."""
    support = proposed.num_explained(index)
    if support < _MIN_EXPLAINED:
        return f"only {support} matches support its new camera, {_MIN_EXPLAINED} are needed"
    old_px, new_px = before.median_px(index), proposed.median_px(index)
    assert new_px is not None
    if old_px is not None and new_px >= old_px and index not in held:
        return f"a new camera explains its matches no better: {new_px:.2f} px, not {old_px:.2f}"
    return None


def _aligned_depth(
    scene: Reconstruction, index: int, candidate: _Candidate, pitch: float
) -> AlignedDepth | None:
    view, seen = scene.views[index], candidate.seen
    original = seen.positions * pitch
    network = pixels_through(view.network_from_original, original)
    across = 2 * network / network.new_tensor([view.width, view.height]) - 1
    return align_depth(
        scene.depth[index],
        across,
        seen.depth_from(candidate.camera),
        depth_at(scene, index, original),
    )


def _with_cameras(
    scene: Reconstruction,
    taken: dict[int, _Candidate],
    aligned: dict[int, AlignedDepth | None],
    photos: list[WorkingPhoto],
) -> Reconstruction:
    cameras, depth, failures = list(scene.cameras), list(scene.depth), list(scene.failures)
    for index, candidate in taken.items():
        cameras[index] = _camera(candidate.camera, scene.views[index], photos[index].pitch)
        failures[index] = None
        fitted = aligned[index]
        if fitted is not None:
            depth[index] = fitted.depth
    uncertainty = scene.uncertainty and scene.uncertainty.without(taken)
    return replace(scene, cameras=cameras, depth=depth, failures=failures, uncertainty=uncertainty)


def _camera(found: SparseCamera, view: View, pitch: float) -> Camera:
    height, width = view.original_height, view.original_width
    intrinsics = pinhole(torch.tensor(found.focal_px * pitch), height, width)
    if found.intrinsics is not None:
        original_from_working = torch.tensor([pitch, pitch, 1.0], dtype=torch.float64)
        intrinsics = (original_from_working[:, None] * found.intrinsics).float()
    return Camera(intrinsics, found.world_from_camera.float(), height, width)


def _view_record(
    photo: WorkingPhoto,
    cameras: tuple[Camera | None, Camera | None],
    reason: str | None,
    candidate: _Candidate | None,
    aligned: AlignedDepth | None,
    *,
    before_px: float | None,
    after_px: float | None,
) -> ViewRefinement:
    old, new = cameras
    taken = candidate if reason is None else None
    if taken:
        outcome = "placed" if old is None else "refined"
    else:
        outcome = "unplaced" if old is None else "kept"
    turned_deg, moved = _change(old, new)
    return ViewRefinement(
        outcome=outcome,
        reason=reason,
        part=taken.part if taken else None,
        points=len(candidate.seen.points) if candidate else 0,
        before_px=before_px,
        after_px=after_px,
        turned_deg=turned_deg,
        moved=moved,
        depth_factor=aligned.factor if aligned else None,
        depth_error=aligned.error if aligned else None,
        distortion=taken.camera.distortion if taken else None,
        distortion_px=_corner_px(taken.camera, photo) if taken else None,
    )


def _record(
    views: list[ViewRefinement],
    evidence: Evidence,
    found: Found | None,
    before: Agreement,
    after: Agreement,
) -> RefinementRecord:
    return RefinementRecord(
        mapping=found.way if found else None,
        intrinsics=found.intrinsics if found else None,
        pairs=len(evidence.verified),
        matches=sum(len(pair.matches) for pair in evidence.verified.values()),
        points=sum(model.num_points for model in found.models) if found else 0,
        explained_before=before.score,
        explained_after=after.score,
        before_px=before.median_px(),
        after_px=after.median_px(),
        views=views,
    )


def _sparse_camera(camera: Camera, photo: WorkingPhoto) -> SparseCamera:
    shrunk = torch.tensor([1 / photo.pitch, 1 / photo.pitch, 1.0], dtype=torch.float64)
    intrinsics = shrunk[:, None] * camera.intrinsics.double()
    focal_px = intrinsics[:2, :2].det().sqrt().item()
    return SparseCamera(focal_px, 0.0, camera.world_from_camera.double(), intrinsics)


def _change(old: Camera | None, new: Camera | None) -> tuple[float | None, float | None]:
    """Return by how many degrees a camera was turned, and how far it was moved."""
    if old is None or new is None:
        return None, None
    was, now = old.world_from_camera.double(), new.world_from_camera.double()
    turned_deg = rotation_angle_deg(was[:3, :3], now[:3, :3]).item()
    return turned_deg, torch.linalg.vector_norm(was[:3, 3] - now[:3, 3]).item()


def _corner_px(camera: SparseCamera, photo: WorkingPhoto) -> float:
    """Return how far the lens moves what a pinhole camera would see in the photo's corner."""
    radius = (photo.height**2 + photo.width**2) ** 0.5 / 2 / camera.focal_px
    return abs(camera.distortion) * radius**3 * camera.focal_px * photo.pitch
