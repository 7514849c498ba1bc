"""A scene with exact cameras: structure from motion and bundle adjustment, held to what is proven.

Features of the photos are matched and verified, cameras found from the matches alone, brought into
the world of the scene, and taken view by view where they explain its matches better than the
network's. Depth maps are then made to agree with the sparse points.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from fast3r.scene.panoramas import with_tied_faces
from fast3r.scene.priors.applying import apply_priors, focal_check_name, focals_px
from fast3r.scene.priors.binding import BoundPriors, bind
from fast3r.scene.priors.types import Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.adoption import adopt
from fast3r.scene.refinement.anchoring import anchor
from fast3r.scene.refinement.evidence import Evidence, gather_evidence
from fast3r.scene.refinement.features import FEATURE_SIDE_PX, Effort, import_pycolmap
from fast3r.scene.refinement.photos import WorkingPhoto, working_photo
from fast3r.scene.refinement.search import Found, IntrinsicsChoice, better, search
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import View

STAGES = (
    "features",
    "matches",
    "structure from motion",
    "bundle adjustment with priors",
    "depth alignment",
)
"""What refinement goes through; the first three once more, as "features, thorough", where photos
do not all connect."""


def refine(
    scene: Reconstruction,
    *,
    photos: Sequence[View] | None = None,
    intrinsics: IntrinsicsChoice = "auto",
    priors: Priors | None = None,
    seed: int = 0,
    recorder: StageRecorder | None = None,
) -> Reconstruction:
    """Return the scene with cameras from structure from motion and bundle adjustment.

    A camera is replaced only where enough sparse points support the new one and it explains the
    view's matches better; `refinement` of the result tells what became of each view. The world
    stays the network's, scale included, where priors tell no other. Lens distortion is estimated,
    but a pinhole camera does not keep it: the record says how much it is. Lenses that views were
    loaded with, and the intrinsics that go with them, stay as they are.

    Args:
        scene: From `fast3r.reconstruct` or `fast3r.load`.
        photos: The same views at a larger size, by name. Without them the files that the views
            came from are read again; views whose file is gone, and video frames, are taken at
            network size.
        intrinsics: "shared" by photos of one EXIF camera and size, each photo its "own", or what
            explains the matches.
        priors: What is known of the views. Intrinsics are held in bundle adjustment, but for those
            that EXIF tells, from which it starts; poses are held, or weighed by their standard
            deviation; places by GPS weigh by theirs, and what contradicts the photos is left out.
            The scene is then taken to the world and unit that are known, as `with_priors` does,
            and `prior_checks` says how well it agrees.
        seed: Of all sampling.
        recorder: Measures the stages and tells of progress.

    Raises:
        ValueError: An option is unknown, or a prior cannot be true.
        ImportError: pycolmap is not installed.
    """
    if intrinsics not in ("auto", "shared", "own"):
        raise ValueError(f"intrinsics must be auto, shared or own, got {intrinsics!r}")
    import_pycolmap()
    recorder = recorder or StageRecorder()
    by_name = {view.name: view for view in photos or ()}
    known = None if priors is None else bind(priors, scene.views)
    held = {} if known is None else known.exact_intrinsics
    working = [
        working_photo(
            view, by_name.get(view.name), max_side_px=FEATURE_SIDE_PX, intrinsics=held.get(index)
        )
        for index, view in enumerate(scene.views)
    ]
    evidence, found = _look(working, "usual", intrinsics, seed, recorder)
    if found is None or not found.is_whole:
        evidence, second = _look(working, "thorough", intrinsics, seed, recorder)
        found = better(found, second, evidence)
    if known is None:
        with recorder.stage("depth alignment"):
            return with_tied_faces(adopt(scene, evidence, found))
    return _in_known_world(scene, evidence, found, known, seed, recorder)


def _in_known_world(
    scene: Reconstruction,
    evidence: Evidence,
    found: Found | None,
    known: BoundPriors,
    seed: int,
    recorder: StageRecorder,
) -> Reconstruction:
    with recorder.stage("bundle adjustment with priors"):
        anchored = anchor(found, evidence, scene.views, known, seed=seed)
    with recorder.stage("depth alignment"):
        refined = with_tied_faces(adopt(scene, evidence, anchored.found, held=anchored.held))
    # Of intrinsics that were held, the refined cameras say nothing.
    fixed = torch.tensor([i in known.exact_intrinsics for i in range(len(scene.views))])
    seen_focals_px = focals_px(scene).where(fixed, focals_px(refined))
    refined = apply_priors(
        refined, known, seen_focals_px=seen_focals_px, weighed=anchored.held, seed=seed
    )
    # If the scene was made with them, it says nothing either, but for what it said then.
    earlier = {check.prior: check for check in scene.prior_checks}
    held = {focal_check_name(scene.views[index]) for index in known.exact_intrinsics}
    checks = [earlier.get(c.prior, c) if c.prior in held else c for c in refined.prior_checks]
    return replace(refined, prior_checks=[*checks, *anchored.checks])


def _look(
    photos: Sequence[WorkingPhoto],
    effort: Effort,
    intrinsics: IntrinsicsChoice,
    seed: int,
    recorder: StageRecorder,
) -> tuple[Evidence, Found | None]:
    evidence = gather_evidence(photos, effort, seed=seed, recorder=recorder)
    again = "" if effort == "usual" else f", {effort}"
    with recorder.stage(f"structure from motion{again}"):
        return evidence, search(evidence, intrinsics=intrinsics, seed=seed)
