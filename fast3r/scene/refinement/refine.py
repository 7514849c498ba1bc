"""A scene with exact cameras: structure from motion and bundle adjustment, held to what is proven.

Features of the photos are matched and verified, cameras found from the matches alone, brought into
the world of the scene, and taken view by view where they explain its matches better than the
network's. Depth maps are then made to agree with the sparse points.
"""

from collections.abc import Sequence

from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.adoption import adopt
from fast3r.scene.refinement.evidence import Evidence, gather_evidence
from fast3r.scene.refinement.features import FEATURE_SIDE_PX, Effort, import_pycolmap
from fast3r.scene.refinement.photos import WorkingPhoto, working_photo
from fast3r.scene.refinement.search import Found, IntrinsicsChoice, better, search
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import View


def refine(
    scene: Reconstruction,
    *,
    photos: Sequence[View] | None = None,
    intrinsics: IntrinsicsChoice = "auto",
    max_side_px: int = FEATURE_SIDE_PX,
    seed: int = 0,
    recorder: StageRecorder | None = None,
) -> Reconstruction:
    """Return the scene with cameras from structure from motion and bundle adjustment.

    A camera is replaced only where enough sparse points support the new one and it explains the
    view's matches better; `refinement` of the result tells what became of each view. The world
    stays the network's, scale included. Lens distortion is estimated, but a pinhole camera does not
    keep it: the record says how much it is.

    Args:
        scene: From `fast3r.reconstruct` or `fast3r.load`.
        photos: The same views at a larger size, by name. Without them the files that the views
            came from are read again; views whose file is gone, and video frames, are taken at
            network size.
        intrinsics: "shared" by photos of one EXIF camera and size, each photo its "own", or what
            explains the matches.
        max_side_px: Photos are shrunk to this for features.
        seed: Of all sampling.
        recorder: Measures the stages and tells of progress.

    Raises:
        ValueError: An option is out of range.
        ImportError: pycolmap is not installed.
    """
    if intrinsics not in ("auto", "shared", "own"):
        raise ValueError(f"intrinsics must be auto, shared or own, got {intrinsics!r}")
    if max_side_px < 64:
        raise ValueError(f"max_side_px must be at least 64, got {max_side_px}")
    import_pycolmap()
    recorder = recorder or StageRecorder()
    by_name = {view.name: view for view in photos or ()}
    working = [
        working_photo(view, by_name.get(view.name), max_side_px=max_side_px) for view in scene.views
    ]
    evidence, found = _look(working, "usual", intrinsics, seed, recorder)
    if found is None or not found.is_whole:
        evidence, second = _look(working, "thorough", intrinsics, seed, recorder)
        found = better(found, second, evidence)
    with recorder.stage("depth alignment"):
        return adopt(scene, evidence, found)


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
