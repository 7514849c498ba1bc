"""Models of the photos, bent to what is known of their cameras where the photos do not contradict.

What only turns, moves or resizes a model as a whole, such as gravity or a distance, is not for
here: it is applied to the finished scene.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import Similarity
from fast3r.scene.priors.alignment import Alignment, align_cameras
from fast3r.scene.priors.binding import BoundPriors, local_positions
from fast3r.scene.priors.found_cameras import FoundCameras
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.world_fit import GATE
from fast3r.scene.refinement.adjustment import KnownPlace, adjust_to_places, adjust_to_poses
from fast3r.scene.refinement.evidence import Evidence
from fast3r.scene.refinement.features import import_pycolmap
from fast3r.scene.refinement.mapping import sparse_model
from fast3r.scene.refinement.search import Found, judged
from fast3r.scene.refinement.sparse import SparseModel
from fast3r.views.view import View

_MIN_POSES = 2
_MIN_PLACES = 3
"""Fewer only say where the model lies, and how large it is."""

_BENDING_LOSS_PX = 10.0
"""For a model whose cameras were just moved to where they are known to be."""

_UNKNOWN_ALTITUDE_M = 1e4

_MAX_LOST = 0.1
"""Share of the explained matches that known cameras may cost; more means a contradiction."""


@dataclass(frozen=True)
class Anchored:
    """What structure from motion found, once it knows what the user knows."""

    found: Found | None
    """Models that were bent are now one, in the known world."""

    held: frozenset[int]
    """Views whose known pose or place had its say in the adjustment."""

    checks: list[PriorCheck]
    """What was left out of it altogether."""


def anchor(
    found: Found, evidence: Evidence, views: Sequence[View], known: BoundPriors, *, seed: int
) -> Anchored:
    """Return models that agree with known poses and places, as far as the photos allow.

    Poses without standard deviation are held, places pull by their weight. Parts that nothing but
    the known cameras ties together become one.

    Args:
        found: Of the photos alone.
        evidence: What they were found from.
        views: Of the scene.
        known: Of the views.
        seed: Of all sampling.
    """
    bent, rest, held = [], [], set[int]()
    for model in found.models:
        anchored = _Anchor(model, evidence, views, known, seed).result()
        if anchored is None:
            rest.append(model)
        else:
            bent.append(anchored[0])
            held |= anchored[1]
    if not bent:
        return Anchored(found, frozenset(), [])
    better = judged([_merged(bent), *rest], found.way, found.intrinsics, evidence)
    kept, before = better.agreement.score, found.agreement.score
    if kept >= (1 - _MAX_LOST) * before:
        return Anchored(better, frozenset(held), [])
    kind = "poses" if known.poses else "gps"
    lost = 100 * (1 - kept / before)
    note = f"with it {lost:.0f} % of the matches that agree with the cameras would not"
    check = PriorCheck(f"{kind} in bundle adjustment", "unused", note=note)
    return Anchored(found, frozenset(), [check])


class _Anchor:
    """Bends one model."""

    def __init__(
        self,
        model: SparseModel,
        evidence: Evidence,
        views: Sequence[View],
        known: BoundPriors,
        seed: int,
    ) -> None:
        self._model, self._photos, self._known, self._seed = model, evidence.photos, known, seed
        poses = {index: camera.world_from_camera for index, camera in model.cameras.items()}
        self._cameras = FoundCameras.of(views, poses, exact=poses)

    def result(self) -> tuple[SparseModel, set[int]] | None:
        """Return the bent model and the views that did it; None where too little is known."""
        told = self._known.poses if self._known.poses else self._known.geographic
        if len(told.keys() & self._model.cameras.keys()) < _MIN_POSES:
            return None
        try:
            alignment = align_cameras(self._cameras, self._known, self._seed)
        except ValueError:
            # Whether latitude and longitude are swapped is for the whole scene to tell.
            return None
        if alignment.world.axes not in ("known poses", "east north up"):
            return None
        mapped = import_pycolmap().Reconstruction(self._model.mapped)
        mapped.transform(_as_sim3(alignment.world_from_scene))
        if self._known.poses and self._are_exact:
            held = self._hold(mapped, alignment)
        else:
            held = self._pull(mapped, alignment)
        if held is None:
            return None
        everything = sparse_model(mapped, self._photos)
        return _only(everything, set(self._model.cameras)), held

    @property
    def _are_exact(self) -> bool:
        poses = self._known.priors.poses
        return poses is not None and poses.position_sigma == poses.rotation_sigma_deg == 0

    def _hold(self, mapped: Any, alignment: Alignment) -> set[int] | None:
        poses = {
            index: self._known.poses[index]
            for index in self._model.cameras
            if index in self._known.poses and index not in alignment.contradicted
        }
        if len(poses) < _MIN_POSES:
            return None
        adjust_to_poses(mapped, self._photos, poses, loss_px=_BENDING_LOSS_PX)
        adjust_to_poses(mapped, self._photos, poses)
        return set(poses)

    def _pull(self, mapped: Any, alignment: Alignment) -> set[int] | None:
        """Pull by all places that do not contradict the photos, and then by those that agree."""
        places = self._places(sparse_model(mapped, self._photos))
        pulling = {i: place for i, place in places.items() if i not in alignment.contradicted}
        for _ in range(2):
            if len(pulling) < _MIN_PLACES:
                return None
            adjust_to_places(mapped, self._photos, pulling, seed=self._seed)
            reached = sparse_model(mapped, self._photos).cameras
            pulling = {
                i: place
                for i, place in places.items()
                if _sigmas(reached[i].world_from_camera, place) < GATE
            }
        return set(pulling) if len(pulling) >= _MIN_PLACES else None

    def _places(self, aligned: SparseModel) -> dict[int, KnownPlace]:
        """Return the known places; an unknown altitude is as the model has it, and free."""
        poses, gps = self._known.priors.poses, self._known.priors.gps
        if poses is not None:
            sigma = torch.full((3,), max(poses.position_sigma, 1e-6), dtype=torch.float64)
            known = {i: pose[:3, 3] for i, pose in self._known.poses.items()}
        else:
            assert gps is not None
            known, _ = local_positions(self._known.geographic)
            sigmas = (gps.horizontal_sigma_m, gps.horizontal_sigma_m, gps.vertical_sigma_m)
            sigma = torch.tensor(sigmas, dtype=torch.float64)
        found = {i: c.world_from_camera[:3, 3] for i, c in aligned.cameras.items()}
        free = torch.full_like(sigma, _UNKNOWN_ALTITUDE_M)
        return {
            i: KnownPlace(
                place.where(place.isfinite(), found[i]), sigma.where(place.isfinite(), free)
            )
            for i, place in known.items()
            if i in self._model.cameras
        }


def _sigmas(world_from_camera: Float[Tensor, "4 4"], place: KnownPlace) -> float:
    return ((world_from_camera[:3, 3] - place.centre) / place.sigma).norm().item()


def _as_sim3(similarity: Similarity) -> Any:
    return import_pycolmap().Sim3d(similarity.matrix[:3].contiguous().numpy())


def _only(model: SparseModel, views: set[int]) -> SparseModel:
    return replace(model, cameras=_of(model.cameras, views), sightings=_of(model.sightings, views))


def _of(entries: Mapping[int, Any], views: set[int]) -> dict[int, Any]:
    return {index: entry for index, entry in entries.items() if index in views}


def _merged(models: list[SparseModel]) -> SparseModel:
    """Return models of one world as one."""
    if len(models) == 1:
        return models[0]
    return SparseModel(
        {index: camera for model in models for index, camera in model.cameras.items()},
        {index: seen for model in models for index, seen in model.sightings.items()},
        sum(model.num_points for model in models),
    )
