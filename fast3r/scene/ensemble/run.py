"""Several passes over the same views, each with other view ids and from another first view."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch

from fast3r.models.fast3r import Fast3R
from fast3r.scene.ensemble.fusion import Pass, fuse
from fast3r.scene.ensemble.record import BUNDLED, Calibration
from fast3r.scene.focals import ShareFocal
from fast3r.scene.living.removing import subset
from fast3r.scene.machine import Precision
from fast3r.scene.priors.applying import with_priors
from fast3r.scene.priors.types import Priors
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.run import reconstruct
from fast3r.scene.stages import StageRecorder
from fast3r.views.fitting import fit_view
from fast3r.views.view import View, Views

MAX_PASSES = 32
"""Every pass is compared with every other to find out which agree."""

_POINTS_EACH = 256
"""Pixels of each view by which passes are aligned."""


def reconstruct_ensemble(
    views: Sequence[View],
    model: Fast3R,
    *,
    passes: int = 4,
    calibration: Calibration = BUNDLED,
    seed: int = 0,
    size: int | None = None,
    precision: Literal["auto"] | Precision = "auto",
    memory_gib: float | None = None,
    share_focal: ShareFocal = "camera",
    priors: Priors | None = None,
    recorder: StageRecorder | None = None,
) -> Reconstruction:
    """Return the scene that several passes of the network agree on, and by how much they differ.

    The passes draw their view ids from seeds of their own, and begin with views that are evenly
    spread over the set, so that errors that come from either differ. The world is that of the first
    pass, which is what `reconstruct` returns by itself. `Reconstruction.uncertainty` tells probable
    errors of cameras and depth, and how many passes placed each view.

    Args:
        views: Two at least.
        model: From `fast3r.load_model`.
        passes: How many; time grows in proportion.
        calibration: What differences between passes are multiplied by to give probable errors.
        seed: Of the first pass.
        size: As for `reconstruct`, like all that follow.
        precision: Of encoder and fusion.
        memory_gib: Memory that a pass may take.
        share_focal: Which views have one focal length in common.
        priors: What is known; applied to every pass, and again to what is fused from them.
        recorder: Measures the stages and tells of progress.

    Raises:
        ValueError: There are too few views or passes, or as for `reconstruct`.
        MemoryError: The device is too small for so many views.
    """
    _check(views, passes, seed)
    size = model.config.image_size if size is None else size
    fitted = [fit_view(view, size=size, patch=model.patch) for view in views]
    recorder = recorder or StageRecorder(model.device)
    made: list[Pass] = []
    for number in range(passes):
        order = order_of_pass(number, passes, len(fitted))
        scene = reconstruct(
            [fitted[i] for i in order],
            model,
            seed=seed + number,
            size=size,
            precision=precision,
            memory_gib=memory_gib,
            share_focal=share_focal,
            keep_world=True,
            priors=priors,
            recorder=recorder,
        )
        made.append(as_pass(scene, order))
        # Where a pass had to make do with smaller images, the others see the same.
        size = max(max(view.height, view.width) for view in scene.views)
    if len({each.scene.depth[0].shape for each in made}) > 1:
        raise MemoryError(
            f"memory ran out in the course of {passes} passes, so that they are of different "
            f"sizes; choose --size {size}"
        )
    with recorder.stage("fusion of passes"):
        scene = fuse(made, calibration=calibration, seed=seed)
    skipped = list(views.skipped) if isinstance(views, Views) else []
    scene = replace(scene, skipped=skipped)
    return scene if priors is None else with_priors(scene, priors, seed=seed)


def order_of_pass(number: int, passes: int, views: int) -> list[int]:
    """Return which view comes in which place: one of an even spread first, then the others."""
    first = number * views // passes if passes <= views else number % views
    return [first, *(index for index in range(views) if index != first)]


def _check(views: Sequence[View], passes: int, seed: int) -> None:
    if not 2 <= passes <= MAX_PASSES:
        raise ValueError(
            f"an ensemble takes 2 to {MAX_PASSES} passes, got {passes}; for a single one call "
            "fast3r.reconstruct"
        )
    if len(views) < 2:
        raise ValueError(
            f"an ensemble needs at least two views, got {len(views)}: passes differ by the view "
            "that comes first"
        )
    if not 0 <= seed < 2**64 - passes:
        raise ValueError(f"seed must be between 0 and 2**64 - {passes + 1}, got {seed}")


def as_pass(scene: Reconstruction, order: Sequence[int]) -> Pass:
    """Return a pass with the views in their own order, and only some points of the world head.

    Args:
        scene: As it was made, with what the world head says.
        order: Which view is in which place of it.
    """
    scene = subset(scene, torch.tensor(order).argsort().tolist())
    assert scene.world_pointmaps is not None
    points, weights = [], []
    for view, pointmap in zip(scene.views, scene.world_pointmaps, strict=True):
        every = view.height * view.width
        chosen = torch.linspace(0, every - 1, min(every, _POINTS_EACH)).long()
        confidence = pointmap.confidence
        if view.mask is not None:
            confidence = confidence.where(view.mask, 0)
        points.append(pointmap.points.flatten(0, 1)[chosen])
        weights.append(confidence.flatten()[chosen])
    return Pass(replace(scene, world_pointmaps=None), torch.cat(points), torch.cat(weights))
