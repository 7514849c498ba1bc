"""The best cameras that the matches allow: cheap ways first, others where these fall short."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fast3r.scene.refinement.agreement import Agreement, agreement
from fast3r.scene.refinement.evidence import Evidence
from fast3r.scene.refinement.mapping import Intrinsics, Way, map_photos
from fast3r.scene.refinement.photos import WorkingPhoto
from fast3r.scene.refinement.sparse import SparseModel

IntrinsicsChoice = Literal["auto", "shared", "own"]

_GOOD = 0.9
"""Share of explained matches from which no other way is tried, if all views are placed."""

_MARGIN = 0.01
"""By how much more a later way must explain."""

_MARGIN_OF_FREEDOM = 0.05
"""The same where it has more parameters, with which any cameras explain more."""


@dataclass(frozen=True)
class Found:
    """One result of structure from motion."""

    models: list[SparseModel]
    """Of disjoint views, the largest first."""

    way: Way
    """How cameras were found."""

    intrinsics: Intrinsics
    """Which photos have them in common."""

    agreement: Agreement
    """With all verified matches."""

    is_whole: bool
    """Whether all views are in one model, and most matches agree with it."""


def search(evidence: Evidence, *, intrinsics: IntrinsicsChoice, seed: int) -> Found | None:
    """Return the result that explains the most matches; None where there is none."""
    best: Found | None = None
    for way, kind in ladder(evidence.photos, intrinsics):
        models = map_photos(evidence, way, kind, seed=seed)
        found = judged(models, way, kind, evidence)
        if models and (best is None or _is_better(found, best)):
            best = found
        if best and best.is_whole:
            break
    return best


def better(first: Found | None, second: Found | None, evidence: Evidence) -> Found | None:
    """Return the one of two results that explains more of the second's evidence."""
    if first is None or second is None:
        return first or second
    first = judged(first.models, first.way, first.intrinsics, evidence)
    return second if _is_better(second, first) else first


def judged(
    models: list[SparseModel], way: Way, intrinsics: Intrinsics, evidence: Evidence
) -> Found:
    """Return models with how well they agree with all verified matches."""
    groups = [set(model.cameras) for model in models]
    cameras = {index: camera for model in models for index, camera in model.cameras.items()}
    agrees = agreement(cameras, evidence, groups=groups)
    whole = groups[:1] == [set(range(len(evidence.photos)))] and agrees.score >= _GOOD
    return Found(models, way, intrinsics, agrees, whole)


def ladder(
    photos: Sequence[WorkingPhoto], intrinsics: IntrinsicsChoice
) -> list[tuple[Way, Intrinsics]]:
    """Return the ways to try and which photos share intrinsics in each, in order."""
    ways: tuple[Way, ...] = ("global", "incremental")
    if intrinsics != "auto":
        return [(way, intrinsics) for way in ways]
    # Without EXIF, that photos of one size are of one camera is a guess: a bad one where most
    # photos differ in size, as those of many people do.
    cameras = {photo.camera for photo in photos}
    if len(cameras) > len(photos) / 2:
        return [(way, "own") for way in ways]
    told = all(key is not None for key, _, _ in cameras)
    kinds: list[Intrinsics] = ["shared"] if told else ["shared", "own"]
    return [(way, kind) for kind in kinds for way in ways]


def _is_better(found: Found, best: Found) -> bool:
    margin = _MARGIN if found.intrinsics == best.intrinsics else _MARGIN_OF_FREEDOM
    return found.agreement.score > best.agreement.score + margin
