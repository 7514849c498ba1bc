"""What structure from motion found, taken into the scene view by view where it is better."""

from collections.abc import Collection
from dataclasses import replace

import torch

from fast3r.geometry.cameras import Camera, pinhole
from fast3r.geometry.transforms import Similarity, rotation_angle_deg
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.agreement import Agreement, agreement
from fast3r.scene.refinement.depth import AlignedDepth, align_depth
from fast3r.scene.refinement.evidence import Evidence
from fast3r.scene.refinement.photos import WorkingPhoto
from fast3r.scene.refinement.placement import depth_at, model_depth, world_from_model
from fast3r.scene.refinement.record import RefinementRecord, ViewRefinement
from fast3r.scene.refinement.search import Found
from fast3r.scene.refinement.sparse import Sightings, SparseCamera, SparseModel

_MIN_EXPLAINED = 12
"""Matches of a view that its new camera must explain to be trusted: a pose has six numbers."""


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
    return _Adoption(scene, evidence, found, held).result()


class _Adoption:
    def __init__(
        self,
        scene: Reconstruction,
        evidence: Evidence,
        found: Found | None,
        held: Collection[int],
    ) -> None:
        self._scene, self._evidence, self._found, self._held = scene, evidence, found, held
        photos = evidence.photos
        self._own = {
            index: _sparse_camera(camera, photos[index])
            for index, camera in enumerate(scene.cameras)
            if camera is not None
        }
        self._models: dict[int, SparseModel] = {}
        self._parts: dict[int, int] = {}
        for part, model in enumerate(found.models if found else []):
            map_to_world = world_from_model(model, scene, [photo.pitch for photo in photos])
            if map_to_world is None and self._models:
                continue  # Nothing says where it lies beside the others.
            moved = model if map_to_world is None else _moved(model, map_to_world)
            self._models.update(dict.fromkeys(model.cameras, moved))
            self._parts.update(dict.fromkeys(model.cameras, part))

    def result(self) -> Reconstruction:
        """Return the refined scene, with the record of what was done."""
        proposed = {index: model.cameras[index] for index, model in self._models.items()}
        before = agreement(self._own, self._evidence)
        proposal = agreement(self._own | proposed, self._evidence)
        reasons = [
            self._objection(index, before, proposal) for index in range(len(self._scene.views))
        ]
        taken = [index for index, reason in enumerate(reasons) if reason is None]
        after = agreement(self._own | {i: proposed[i] for i in taken}, self._evidence)
        cameras, depth = list(self._scene.cameras), list(self._scene.depth)
        failures = list(self._scene.failures)
        aligned: dict[int, AlignedDepth] = {}
        for index in taken:
            cameras[index] = self._camera(index, proposed[index])
            failures[index] = None
            fitted = self._fitted_depth(index)
            if fitted is not None:
                aligned[index] = fitted
                depth[index] = fitted.depth
        uncertainty = self._scene.uncertainty
        refined = replace(
            self._scene,
            cameras=cameras,
            depth=depth,
            failures=failures,
            uncertainty=uncertainty and uncertainty.without(taken),
        )
        views = [
            self._view_record(refined, index, reasons[index], before, after, aligned.get(index))
            for index in range(len(reasons))
        ]
        return replace(refined, refinement=self._record(views, before, after))

    def _objection(self, index: int, before: Agreement, after: Agreement) -> str | None:
        """Return why a view keeps what it has; None where it gets a new camera."""
        if index not in self._models:
            partners = sum(index in pair for pair in self._evidence.verified)
            if partners == 0:
                return "none of its features match those of another view"
            return f"its matches with {partners} other views fit no camera"
        support = after.num_explained(index)
        if support < _MIN_EXPLAINED:
            return f"only {support} matches support its new camera, {_MIN_EXPLAINED} are needed"
        old_px, new_px = before.median_px(index), after.median_px(index)
        assert new_px is not None
        if old_px is not None and new_px >= old_px and index not in self._held:
            return f"a new camera explains its matches no better: {new_px:.2f} px, not {old_px:.2f}"
        return None

    def _camera(self, index: int, camera: SparseCamera) -> Camera:
        view, pitch = self._scene.views[index], self._evidence.photos[index].pitch
        focal_px = torch.tensor(camera.focal_px * pitch, dtype=torch.float32)
        intrinsics = pinhole(focal_px, view.original_height, view.original_width)
        if camera.intrinsics is not None:
            original = torch.tensor([pitch, pitch, 1.0], dtype=torch.float64)
            intrinsics = (original[:, None] * camera.intrinsics).float()
        return Camera(
            intrinsics=intrinsics,
            world_from_camera=camera.world_from_camera.float(),
            height=view.original_height,
            width=view.original_width,
        )

    def _fitted_depth(self, index: int) -> AlignedDepth | None:
        view, model = self._scene.views[index], self._models[index]
        original = model.sightings[index].positions * self._evidence.photos[index].pitch
        affine = view.original_from_network.double().inverse()
        network = original @ affine[:2, :2].mT + affine[:2, 2]
        across = 2 * network / network.new_tensor([view.width, view.height]) - 1
        return align_depth(
            self._scene.depth[index],
            across,
            model_depth(model, index),
            depth_at(self._scene, index, original),
        )

    def _view_record(
        self,
        refined: Reconstruction,
        index: int,
        reason: str | None,
        before: Agreement,
        after: Agreement,
        aligned: AlignedDepth | None,
    ) -> ViewRefinement:
        old, new = self._scene.cameras[index], refined.cameras[index]
        taken = reason is None
        model = self._models.get(index)
        camera = model.cameras[index] if model and taken else None
        if taken:
            outcome = "placed" if old is None else "refined"
        else:
            outcome = "unplaced" if old is None else "kept"
        return ViewRefinement(
            outcome=outcome,
            reason=reason,
            part=self._parts[index] if taken else None,
            points=len(model.sightings[index].points) if model else 0,
            before_px=before.median_px(index),
            after_px=after.median_px(index),
            turned_deg=_turned_deg(old, new) if old and new else None,
            moved=_distance(old, new) if old and new else None,
            depth_factor=aligned.factor if aligned else None,
            depth_error=aligned.error if aligned else None,
            distortion=camera.distortion if camera else None,
            distortion_px=_corner_px(camera, self._evidence.photos[index]) if camera else None,
        )

    def _record(
        self, views: list[ViewRefinement], before: Agreement, after: Agreement
    ) -> RefinementRecord:
        verified = self._evidence.verified
        models = self._found.models if self._found else []
        return RefinementRecord(
            mapping=self._found.way if self._found else None,
            intrinsics=self._found.intrinsics if self._found else None,
            pairs=len(verified),
            matches=sum(len(pair.matches) for pair in verified.values()),
            points=sum(model.num_points for model in models),
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


def _moved(model: SparseModel, target_from_world: Similarity) -> SparseModel:
    """Return a model in another world."""
    cameras, sightings = {}, {}
    for index, camera in model.cameras.items():
        pose = camera.world_from_camera.clone()
        pose[:3, :3] = target_from_world.rotation @ pose[:3, :3]
        pose[:3, 3] = target_from_world(camera.world_from_camera[None, :3, 3])[0]
        cameras[index] = replace(camera, world_from_camera=pose)
        seen = model.sightings[index]
        sightings[index] = Sightings(target_from_world(seen.points), seen.positions)
    return SparseModel(cameras, sightings, model.num_points)


def _turned_deg(old: Camera, new: Camera) -> float:
    poses = (old.world_from_camera.double(), new.world_from_camera.double())
    return rotation_angle_deg(*(pose[:3, :3] for pose in poses)).item()


def _distance(old: Camera, new: Camera) -> float:
    offset = old.world_from_camera.double() - new.world_from_camera.double()
    return torch.linalg.vector_norm(offset[:3, 3]).item()


def _corner_px(camera: SparseCamera, photo: WorkingPhoto) -> float:
    """Return how far the lens moves what a pinhole camera would see in the photo's corner."""
    radius = (photo.height**2 + photo.width**2) ** 0.5 / 2 / camera.focal_px
    return abs(camera.distortion) * radius**3 * camera.focal_px * photo.pitch
