"""From views to a reconstruction: plans the run, runs the network, finds cameras.

Device and precision are decided here, once; nowhere else is the number format changed.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.models.prediction import Pointmap
from fast3r.scene.cameras import recover_cameras
from fast3r.scene.depth import depth_for_camera
from fast3r.scene.focals import ShareFocal
from fast3r.scene.machine import Precision, choose_device
from fast3r.scene.network import NetworkPass
from fast3r.scene.outputs import Scratch, in_memory
from fast3r.scene.plan.choosing import choose, step_down
from fast3r.scene.plan.ladder import FEWEST_CHUNK_VIEWS, Wish
from fast3r.scene.plan.memory_error import is_out_of_memory
from fast3r.scene.plan.plan import Plan
from fast3r.scene.plan.seconds import with_seconds
from fast3r.scene.plan.situation import Situation, scratch_parent, situation_of
from fast3r.scene.plan.telling import tell
from fast3r.scene.pose_choice import PoseRecipe
from fast3r.scene.priors.applying import apply_priors
from fast3r.scene.priors.binding import bind
from fast3r.scene.priors.types import Priors
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.scene.stages import StageRecorder
from fast3r.views.fitting import fit_view
from fast3r.views.view import SkippedPhoto, View, Views


def reconstruct(
    views: Sequence[View],
    model: Fast3R,
    *,
    seed: int = 0,
    size: int | None = None,
    device: str | None = None,
    precision: Literal["auto"] | Precision = "auto",
    chunks: Chunks | None = None,
    chunk_views: int | Literal["auto"] | None = "auto",
    memory_gib: float | None = None,
    folder: Path | None = None,
    share_focal: ShareFocal = "camera",
    pose_recipe: PoseRecipe = "robust",
    keep_world: bool = False,
    priors: Priors | None = None,
    recorder: StageRecorder | None = None,
) -> Reconstruction:
    """Return the cameras and the depth of a set of views.

    How the run is arranged so that it fits into memory is planned beforehand; should memory run
    out all the same, the plan steps down and the work goes on. `recorder` learns of both.

    Args:
        views: From `fast3r.load_views`; their order does not matter but for the first, whose
            frame becomes the world.
        model: From `fast3r.load_model`.
        seed: Equal seeds give equal results.
        size: Long side in pixels at which the network sees the views; by default the one that the
            model was trained for, or less where that does not fit. Larger views are made smaller,
            smaller ones stay.
        device: Moves the model there first ("cuda", "mps", "cpu", "auto" for the best of these);
            by default it stays where it is.
        precision: Of encoder and fusion; the heads always compute in float32. "auto" is bfloat16
            on CUDA hardware that has it, and where float32 does not fit.
        chunks: How much is worked on at a time; changes memory, never the result.
        chunk_views: Views go through the network in overlapping chunks of so many; None for one
            pass over all; "auto" does what fits.
        memory_gib: Memory that the run may take, of the device where it has its own, otherwise of
            the host; by default what is free, less a margin.
        folder: On whose disk pointmaps wait that do not fit in memory; by default a folder for
            temporary files. A run in chunks keeps them in its subfolder "chunks", so that the same
            call goes on after an interruption; remove it when the scene is written.
        share_focal: Which views have one focal length in common, see `recover_cameras`.
        pose_recipe: How poses are found, see `recover_cameras`.
        keep_world: Keep what the world head says beside the depth, to compare the two in the
            viewer. The scene becomes two and a half times as large.
        priors: What is known of the cameras and of the scene; `Reconstruction.prior_checks` says
            how well the result agrees.
        recorder: Measures the stages and tells of progress.

    Raises:
        ValueError: There are no views, they do not fit the model, an option is unknown, or a prior
            cannot be true.
        MemoryError: Nothing that is left to try fits; the message says what would.
        OSError: The disk is full.
    """
    if not views:
        raise ValueError(
            "at least one view is needed, got none; load photos with fast3r.load_views"
        )
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be between 0 and 2**64 - 1, got {seed}")
    if isinstance(chunk_views, int) and chunk_views < FEWEST_CHUNK_VIEWS:
        raise ValueError(
            f"chunk_views must be at least {FEWEST_CHUNK_VIEWS}, got {chunk_views}: chunks are "
            "joined by the views that they have in common"
        )
    if device is not None:
        model = model.to(choose_device(device))
    job = _Job(
        views=views,
        model=model,
        seed=seed,
        share_focal=share_focal,
        pose_recipe=pose_recipe,
        keep_world=keep_world,
        priors=priors,
        recorder=recorder or StageRecorder(model.device),
    )
    wish = Wish(
        size=size,
        precision=precision,
        chunks=chunks,
        chunk_views=chunk_views if isinstance(chunk_views, int) else None,
        # The reference's recipe is there to compare single passes with.
        may_chunk=chunk_views == "auto" and pose_recipe != "reference",
    )
    scratch = Scratch(folder or scratch_parent())
    try:
        return _planned(job, wish, scratch, memory_gib=memory_gib, folder=folder)
    finally:
        scratch.close()


@dataclass(frozen=True)
class _Job:
    """What is to be done, however it is arranged."""

    views: Sequence[View]
    model: Fast3R
    seed: int
    share_focal: ShareFocal
    pose_recipe: PoseRecipe
    keep_world: bool
    priors: Priors | None
    recorder: StageRecorder

    def fitted(self, size: int) -> list[View]:
        """Return the views as the network sees them."""
        return [fit_view(view, size=size, patch=self.model.patch) for view in self.views]

    def network_pass(self, fitted: list[View]) -> NetworkPass:
        """Return a pass that has yet to begin."""
        return NetworkPass(fitted, self.model, seed=self.seed, recorder=self.recorder)

    @property
    def skipped(self) -> list[SkippedPhoto]:
        """Photos that could not be read."""
        return list(self.views.skipped) if isinstance(self.views, Views) else []


def _planned(
    job: _Job, wish: Wish, scratch: Scratch, *, memory_gib: float | None, folder: Path | None
) -> Reconstruction:
    """Return the scene, made as planned; where memory runs out, the plan steps down."""
    fitted = job.fitted(wish.size or job.model.config.image_size)
    bind(job.priors or Priors(), fitted)  # what cannot be true is refused before the work
    situation = situation_of(
        fitted, job.model, memory_gib=memory_gib, keep_world=job.keep_world, folder=folder
    )
    plan = choose(situation, wish)
    work = job.network_pass(fitted)
    while True:
        job.recorder.plan = plan = with_seconds(plan, situation)
        job.recorder.tell(tell(plan, job.model.device))
        if plan.size < max(max(view.height, view.width) for view in fitted):
            fitted = job.fitted(plan.size)
            work = job.network_pass(fitted)
        try:
            if plan.chunk_views is not None:
                kept = scratch.folder if folder is None else folder / "chunks"
                return _in_chunks(job, fitted, plan, kept)
            return _in_one_pass(job, fitted, plan, work, scratch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0][:200] or type(error).__name__
        # Only now is what the failed attempt held free again.
        gc.collect()
        if situation.own_memory:
            torch.cuda.empty_cache()
        lower = step_down(situation, wish, plan)
        if lower is None:
            raise _nothing_left(situation, reason)
        job.recorder.tell(f"memory ran out on {job.model.device}; going on with less")
        plan = lower


def _nothing_left(situation: Situation, reason: str) -> MemoryError:
    rows, columns = situation.workload.largest
    return MemoryError(
        f"{situation.device} is too small for {len(situation.workload)} views of up to "
        f"{columns}x{rows} px, and nothing is left to try ({reason}); use fewer views "
        "(--num-frames for a video) or a smaller --size. 'fast3r plan' says what fits"
    )


def _in_one_pass(
    job: _Job, fitted: list[View], plan: Plan, work: NetworkPass, scratch: Scratch
) -> Reconstruction:
    """Return the scene of views that go through the network together."""
    device, seed = job.model.device, job.seed
    keep = scratch.keep if plan.setting.outputs == "files" else in_memory
    predictions = work.predictions(plan.setting, keep)
    known = bind(job.priors or Priors(), fitted)
    with job.recorder.stage("cameras"):
        found = recover_cameras(
            predictions,
            fitted,
            share_focal=job.share_focal,
            pose_recipe=job.pose_recipe,
            known_intrinsics=known.intrinsics,
            device=device,
            seed=seed,
            keep=keep,
        )
    scene = Reconstruction(
        views=fitted,
        cameras=found.cameras,
        depth=found.depth,
        confidence=found.confidence,
        failures=found.failures,
        skipped=job.skipped,
        scale=Scale(),
        world_pointmaps=[_unbatched(p.world) for p in predictions] if job.keep_world else None,
    )
    if job.priors is None:
        return scene

    def depth_for(index: int, camera: Camera) -> Tensor | None:
        return depth_for_camera(predictions[index], fitted[index], camera, device=device, seed=seed)

    return apply_priors(
        scene, known, seen_focals_px=found.seen_focals_px, depth_for=depth_for, seed=seed
    )


def _in_chunks(job: _Job, fitted: list[View], plan: Plan, folder: Path) -> Reconstruction:
    """Return the scene of views that go through the network in overlapping chunks."""
    from fast3r.scene.long import reconstruct_long

    assert plan.chunk_views is not None
    scene = reconstruct_long(
        fitted,
        job.model,
        chunk_views=plan.chunk_views,
        overlap=plan.overlap,
        folder=folder / f"{plan.size}-{plan.chunk_views}-{plan.setting.precision}",
        seed=job.seed,
        size=plan.size,
        precision=plan.setting.precision,
        chunks=plan.setting.chunks,
        share_focal=job.share_focal,
        keep_world=job.keep_world,
        priors=job.priors,
        recorder=job.recorder,
    )
    return replace(scene, skipped=job.skipped)


def _unbatched(pointmap: Pointmap) -> Pointmap:
    return Pointmap(pointmap.points[0], pointmap.confidence[0])
