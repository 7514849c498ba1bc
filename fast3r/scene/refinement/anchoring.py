"""Models of the photos, bent to what is known of their cameras where the photos do not contradict.

What only turns, moves or resizes a model as a whole, such as gravity or a distance, is not for
here: it is applied to the finished scene.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import Similarity
from fast3r.scene.priors.alignment import align
from fast3r.scene.priors.binding import BoundPriors
from fast3r.scene.priors.found_cameras import FoundCameras
from fast3r.scene.priors.gps import UNKNOWN_ALTITUDE_M, local_positions
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.priors.world_fit import GATE
from fast3r.scene.refinement.adjustment import KnownPlace, adjust_to_places, adjust_to_poses
from fast3r.scene.refinement.evidence import Evidence
from fast3r.scene.refinement.features import import_pycolmap
from fast3r.scene.refinement.mapping import sparse_model
from fast3r.scene.refinement.photos import WorkingPhoto
from fast3r.scene.refinement.search import Found, judged
from fast3r.scene.refinement.sparse import SparseModel
from fast3r.views.view import View

_T = TypeVar("_T")

_MIN_POSES = 2
_MIN_PLACES = 3
"""Fewer only say where the model lies, and how large it is."""

_BENDING_LOSS_PX = 10.0
"""For a model whose cameras were just moved to where they are known to be."""

_MAX_LOST = 0.1
"""Share of the explained matches that known cameras may cost; more means a contradiction."""


class Anchored(NamedTuple):
    """What structure from motion found, once it knows what the user knows."""

    found: Found | None
    """Models that were bent are now one, in the known world."""

    held: frozenset[int] = frozenset()
    """Views whose known pose or place had its say in the adjustment."""

    checks: Sequence[PriorCheck] = ()
    """What was left out of it altogether."""


def anchor(
    found: Found | None, evidence: Evidence, views: Sequence[View], known: BoundPriors, *, seed: int
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
    if found is None:
        return Anchored(None)
    bent, rest, held = [], [], set[int]()
    for model in found.models:
        anchored = _bent(model, evidence.photos, views, known, seed)
        if anchored is None:
            rest.append(model)
        else:
            bent.append(anchored[0])
            held |= anchored[1]
    if not bent:
        return Anchored(found)
    better = judged([_merged(bent), *rest], found.way, found.intrinsics, evidence)
    kept, before = better.agreement.score, found.agreement.score
    if kept >= (1 - _MAX_LOST) * before:
        return Anchored(better, frozenset(held))
    kind = "poses" if known.poses else "gps"
    lost = 100 * (1 - kept / before)
    note = f"with it {lost:.0f} % of the matches that agree with the cameras would not"
    check = PriorCheck.unused(f"{kind} in bundle adjustment", note)
    return Anchored(found, checks=[check])


def _bent(
    model: SparseModel,
    photos: Sequence[WorkingPhoto],
    views: Sequence[View],
    known: BoundPriors,
    seed: int,
) -> tuple[SparseModel, set[int]] | None:
    """Return the bent model and the views that did it; None where too little is known."""
    told = known.poses or known.geographic
    if len(told.keys() & model.cameras.keys()) < _MIN_POSES:
        return None
    poses = {index: camera.world_from_camera for index, camera in model.cameras.items()}
    try:
        alignment = align(FoundCameras.of(views, poses, exact=poses), known, seed=seed)
    except ValueError:
        # Whether latitude and longitude are swapped is for the whole scene to tell.
        return None
    if alignment.world.axes not in ("known poses", "east north up"):
        return None
    mapped = import_pycolmap().Reconstruction(model.mapped)
    mapped.transform(_as_sim3(alignment.world_from_scene))
    agreeing = model.cameras.keys() - alignment.contradicted
    if known.priors.poses is not None and known.priors.poses.are_exact:
        held = _hold(mapped, photos, _of(known.poses, agreeing))
    else:
        places = _places(known, sparse_model(mapped, photos).only(model.cameras))
        held = _pull(mapped, photos, places, agreeing, seed)
    return None if held is None else (sparse_model(mapped, photos).only(model.cameras), held)


def _hold(
    mapped: Any, photos: Sequence[WorkingPhoto], poses: Mapping[int, Float[Tensor, "4 4"]]
) -> set[int] | None:
    if len(poses) < _MIN_POSES:
        return None
    adjust_to_poses(mapped, photos, poses, loss_px=_BENDING_LOSS_PX)
    adjust_to_poses(mapped, photos, poses)
    return set(poses)


def _pull(
    mapped: Any,
    photos: Sequence[WorkingPhoto],
    places: Mapping[int, KnownPlace],
    agreeing: Collection[int],
    seed: int,
) -> set[int] | None:
    """Pull by all places that do not contradict the photos, and then by those that agree."""
    pulling = _of(places, agreeing)
    for _ in range(2):
        if len(pulling) < _MIN_PLACES:
            return None
        adjust_to_places(mapped, photos, pulling, seed=seed)
        reached = sparse_model(mapped, photos).cameras
        pulling = {
            i: place
            for i, place in places.items()
            if _sigmas(reached[i].world_from_camera, place) < GATE
        }
    return set(pulling) if len(pulling) >= _MIN_PLACES else None


def _places(known: BoundPriors, aligned: SparseModel) -> dict[int, KnownPlace]:
    """Return the known places; an unknown altitude is as the model has it, and free."""
    poses, gps = known.priors.poses, known.priors.gps
    if poses is not None:
        sigmas = (max(poses.position_sigma, 1e-6),) * 3
        places = {i: pose[:3, 3] for i, pose in known.poses.items()}
    else:
        assert gps is not None
        sigmas = gps.sigmas_m
        places, _ = local_positions(known.geographic)
    sigma = torch.tensor(sigmas, dtype=torch.float64)
    free = torch.full_like(sigma, UNKNOWN_ALTITUDE_M)
    return {
        i: KnownPlace(
            place.where(place.isfinite(), aligned.cameras[i].world_from_camera[:3, 3]),
            sigma.where(place.isfinite(), free),
        )
        for i, place in _of(places, aligned.cameras).items()
    }


def _of(entries: Mapping[int, _T], views: Collection[int]) -> dict[int, _T]:
    return {index: entry for index, entry in entries.items() if index in views}


def _sigmas(world_from_camera: Float[Tensor, "4 4"], place: KnownPlace) -> float:
    return ((world_from_camera[:3, 3] - place.centre) / place.sigma).norm().item()


def _as_sim3(similarity: Similarity) -> Any:
    return import_pycolmap().Sim3d(similarity.matrix[:3].contiguous().numpy())


def _merged(models: list[SparseModel]) -> SparseModel:
    """Return models of one world as one."""
    return SparseModel(
        {index: camera for model in models for index, camera in model.cameras.items()},
        {index: seen for model in models for index, seen in model.sightings.items()},
        sum(model.num_points for model in models),
    )
