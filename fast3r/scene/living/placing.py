"""One pass over new photos beside some views of a scene, brought into the world of the scene."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.cameras import Camera, invert_rigid, project
from fast3r.models.fast3r import Fast3R
from fast3r.scene.joining import TOLERANCE, Joint, join
from fast3r.scene.living.removing import subset
from fast3r.scene.machine import Precision
from fast3r.scene.priors.checks import original_matrix
from fast3r.scene.priors.types import Intrinsics, Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.photos import network_pixels
from fast3r.scene.run import reconstruct
from fast3r.scene.stages import StageRecorder
from fast3r.views.names import free_names
from fast3r.views.view import View

MIN_AGREEING = 0.4
"""Share of what the scene and a pass see in the references that must come together. On 17 sets of
photos, with the bundled network, cameras found with less were off by 16 degrees in the median from
those of a pass over all photos, and others by 6."""

MIN_CONFIRMED = 0.5
"""Share of what a new photo sees of the scene that must lie where the scene has it. On 17 sets of
photos, of those that were of something else 0.4 did at most and of the others 0.4 at least."""

_MIN_IN_VIEW = 0.1
_POINTS = 2048


@dataclass(frozen=True)
class PassOptions:
    """How the network is run."""

    seed: int = 0
    """Equal seeds give equal results."""

    size: int | None = None
    """Long side in pixels at which it sees the views; by default what it was trained for."""

    precision: Literal["auto"] | Precision = "auto"
    """Number format of the transformer."""


@dataclass(frozen=True)
class Newcomers:
    """New photos in the world of a scene."""

    scene: Reconstruction
    """The new photos alone; those that found no place have a reason instead of a camera."""

    references: list[int]
    """Views of the standing scene that the network saw beside them."""

    joint: Joint
    """How the pass lies in the scene, by the references."""

    confirmed: list[float]
    """For each photo, of its points that lie in the view of a reference, the share of confidence
    that a reference sees in the same place, to a tenth of the depth; nan where nothing tells."""


def place_beside(
    scene: Reconstruction,
    references: Sequence[int],
    photos: Sequence[View],
    model: Fast3R,
    options: PassOptions,
    recorder: StageRecorder | None = None,
) -> Newcomers:
    """Return new photos where one pass over them and some views of the scene puts them.

    The references keep their focal lengths in the pass, and so do new photos of the same camera.
    """
    passed = run_pass([subset(scene, references)], photos, model, options, recorder)
    joint = join(scene, passed, [(r, k) for k, r in enumerate(references)], seed=options.seed)
    new = subset(passed, range(len(references), len(passed.views)))
    reason = contradiction(joint)
    if joint.a_from_b is None or reason is not None:
        new = _without_cameras(new, [reason] * len(photos))
        return Newcomers(new, list(references), joint, [torch.nan] * len(photos))
    new = new.transformed(joint.a_from_b, scale=scene.scale)
    new = replace(new, world=scene.world)
    judged = [confirm(scene, references, new, index) for index in range(len(photos))]
    new = _without_cameras(new, [reason for _, reason in judged])
    return Newcomers(new, list(references), joint, [share for share, _ in judged])


def contradiction(joint: Joint) -> str | None:
    """Return why a pass cannot be brought to a scene; None where it can."""
    if joint.a_from_b is None or joint.inlier_ratio >= MIN_AGREEING:
        return joint.reason
    return (
        f"only {joint.inlier_ratio:.0%} of what both scenes see in {joint.views} shared views "
        f"comes together, {MIN_AGREEING:.0%} are needed"
    )


def run_pass(
    standing: Sequence[Reconstruction],
    photos: Sequence[View],
    model: Fast3R,
    options: PassOptions,
    recorder: StageRecorder | None = None,
) -> Reconstruction:
    """Return one pass over all views of some scenes and over new photos, in a world of its own.

    Views of the scenes keep their focal lengths.
    """
    given = [*(view for scene in standing for view in scene.views), *photos]
    cameras = [camera for scene in standing for camera in scene.cameras]
    names = free_names([view.name for view in given])
    named = [
        view if view.name == name else replace(view, name=name)
        for view, name in zip(given, names, strict=True)
    ]
    known = {
        view.name: intrinsics
        for view, camera in zip(named, cameras, strict=False)
        if (intrinsics := _intrinsics(view, camera)) is not None
    }
    passed = reconstruct(
        named,
        model,
        seed=options.seed,
        size=options.size,
        precision=options.precision,
        priors=Priors(intrinsics=known) if known else None,
        chunk_views=None,
        keep_world=all(scene.world_pointmaps is not None for scene in standing),
        recorder=recorder,
    )
    views = [replace(v, name=g.name) for v, g in zip(passed.views, given, strict=True)]
    return replace(passed, views=views, prior_checks=[])


def _intrinsics(view: View, camera: Camera | None) -> Intrinsics | None:
    """Return the focal lengths of a camera; None for those that no lens has, or that go unsaid."""
    if camera is None or view.known_intrinsics is not None:
        return None
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
    intrinsics = Intrinsics((fx, fy), (cx, cy))
    try:
        original_matrix(intrinsics, view)
    except ValueError:
        return None
    return intrinsics


def _without_cameras(scene: Reconstruction, reasons: Sequence[str | None]) -> Reconstruction:
    """Return a scene in which the views that there is a reason for have no camera.

    A view that had none keeps its own reason.
    """
    pairs = list(zip(scene.cameras, scene.failures, reasons, strict=True))
    return replace(
        scene,
        cameras=[camera if reason is None else None for camera, _, reason in pairs],
        failures=[reason if failure is None else failure for _, failure, reason in pairs],
    )


def confirm(
    scene: Reconstruction, references: Sequence[int], new: Reconstruction, index: int
) -> tuple[float, str | None]:
    """Return how much of what a view shows of a scene lies where the scene has it.

    With a reason if that is too little. The share is of the confidence of those points that lie in
    the view of a reference; a point counts if a reference sees the surface there, to a tenth of its
    depth.
    """
    if new.cameras[index] is None:
        return torch.nan, None
    pixels = new.valid(index).flatten().nonzero()[:, 0]
    pixels = pixels[:: max(1, len(pixels) // _POINTS)]
    points = new.points_at(index, pixels).double()
    weight = new.confidence[index].flatten()[pixels].double()
    each = [_seen(scene, reference, points) for reference in references]
    in_view, same = (torch.stack(parts).any(dim=0) for parts in zip(*each, strict=True))
    share_in_view = ((weight * in_view).sum() / weight.sum()).item()
    if not share_in_view >= _MIN_IN_VIEW:
        return torch.nan, "it shows nothing that the references show"
    confirmed = ((weight * same).sum() / (weight * in_view).sum()).item()
    if confirmed >= MIN_CONFIRMED:
        return confirmed, None
    return confirmed, (
        f"only {confirmed:.0%} of what it shows of the scene lies where the scene has it, "
        f"{MIN_CONFIRMED:.0%} are needed: it may show something else"
    )


def _seen(
    scene: Reconstruction, index: int, points: Float[Tensor, "points 3"]
) -> tuple[Bool[Tensor, " points"], Bool[Tensor, " points"]]:
    """Return which points of the world lie in the image of a view, and which on its surface."""
    camera = scene.camera(index)
    pose = invert_rigid(camera.world_from_camera.double())
    ideal, depth = project(points, camera.intrinsics.double(), pose)
    ahead = depth > 0
    column, row, inside = network_pixels(scene.views[index], ideal.where(ahead[:, None], -1))
    there = scene.depth[index][row, column].double()
    known = ahead & inside & scene.valid(index)[row, column]
    return known, known & ((depth / there - 1).abs() < TOLERANCE)
