"""From views to a reconstruction: runs the network, keeps its pointmaps on the host, finds cameras.

Device and precision are decided here, once; nowhere else is the number format changed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.models.fast3r import Chunks, Fast3R
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.cameras import PoseRecipe, ShareFocal, depth_for_camera, recover_cameras
from fast3r.scene.machine import Precision, choose_device, choose_precision
from fast3r.scene.priors.applying import apply_priors
from fast3r.scene.priors.binding import bind
from fast3r.scene.priors.types import Priors
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.scene.stages import StageRecorder
from fast3r.views.fitting import fit_view
from fast3r.views.view import View
from fast3r.views.views import Views


def reconstruct(
    views: Sequence[View],
    model: Fast3R,
    *,
    seed: int = 0,
    size: int | None = None,
    device: str | None = None,
    precision: Literal["auto"] | Precision = "auto",
    chunks: Chunks | None = None,
    share_focal: ShareFocal = "camera",
    pose_recipe: PoseRecipe = "robust",
    keep_world: bool = False,
    priors: Priors | None = None,
    recorder: StageRecorder | None = None,
) -> Reconstruction:
    """Return the cameras and the depth of a set of views.

    Args:
        views: From `fast3r.load_views`; their order does not matter but for the first, whose
            frame becomes the world.
        model: From `fast3r.load_model`.
        seed: Equal seeds give equal results.
        size: Long side in pixels at which the network sees the views; by default the one that the
            model was trained for. Larger views are made smaller, smaller ones stay.
        device: Moves the model there first ("cuda", "mps", "cpu", "auto" for the best of these);
            by default it stays where it is.
        precision: Of encoder and fusion; the heads always compute in float32. "auto" is bfloat16
            on CUDA hardware that has it.
        chunks: How much is worked on at a time; changes memory, never the result.
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
        MemoryError: The device is too small for so many views.
    """
    if not views:
        raise ValueError(
            "at least one view is needed, got none; load photos with fast3r.load_views"
        )
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be between 0 and 2**64 - 1, got {seed}")
    if device is not None:
        model = model.to(choose_device(device))
    precision = choose_precision(precision, model.device)
    size = model.config.image_size if size is None else size
    fitted = [fit_view(view, size=size, patch=model.patch) for view in views]
    known = bind(priors or Priors(), fitted)
    recorder = recorder or StageRecorder(model.device)
    with _explained_out_of_memory(fitted, model.device):
        predictions = _predict(fitted, model, seed, precision, chunks, recorder)
    with recorder.stage("cameras"):
        found = recover_cameras(
            predictions,
            fitted,
            share_focal=share_focal,
            pose_recipe=pose_recipe,
            known_intrinsics=known.intrinsics,
            device=model.device,
            seed=seed,
        )
    scene = Reconstruction(
        views=fitted,
        cameras=found.cameras,
        depth=found.depth,
        confidence=found.confidence,
        failures=found.failures,
        skipped=list(views.skipped) if isinstance(views, Views) else [],
        scale=Scale(),
        world_pointmaps=[_without_batch(p.world) for p in predictions] if keep_world else None,
    )
    if priors is None:
        return scene

    def depth_for(index: int, camera: Camera) -> Tensor | None:
        return depth_for_camera(
            predictions[index], fitted[index], camera, device=model.device, seed=seed
        )

    return apply_priors(
        scene, known, seen_focals_px=found.seen_focals_px, depth_for=depth_for, seed=seed
    )


def _without_batch(pointmap: Pointmap) -> Pointmap:
    return Pointmap(pointmap.points[0], pointmap.confidence[0])


@torch.inference_mode()
def _predict(
    views: Sequence[View],
    model: Fast3R,
    seed: int,
    precision: Precision,
    chunks: Chunks | None,
    recorder: StageRecorder,
) -> list[Prediction]:
    """Return the pointmaps of each view on the host, copied there as the heads make them."""
    images, masks = _inputs(views)
    with (
        recorder.stage("encoder and fusion"),
        torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        tokens = model.tokens(images, seed=seed, masks=masks, chunks=chunks)
    # The heads run without autocast: in bfloat16 their last layer would round each coordinate to 1
    # part in 256, a noise of one pixel. In float32 the pointmaps are four times less rough.
    found: dict[int, Prediction] = {}
    with recorder.stage("pointmaps") as tell:
        for index, prediction in model.predict(tokens, chunks=chunks):
            found[index] = _on_host(prediction)
            tell(len(found), len(views))
    return [found[index] for index in range(len(views))]


def _inputs(views: Sequence[View]) -> tuple[list[Tensor], list[Tensor] | None]:
    """Return images and masks with a batch axis; no masks where no view has one.

    One loop, because a view may be decoded anew each time it is looked at.
    """
    pairs = [(view.image[None], view.mask) for view in views]
    images = [image for image, _ in pairs]
    if all(mask is None for _, mask in pairs):
        return images, None
    everywhere = [torch.ones_like(image[:, 0], dtype=torch.bool) for image in images]
    masks = [mask if mask is None else mask[None] for _, mask in pairs]
    return images, [e if m is None else m for m, e in zip(masks, everywhere, strict=True)]


def _on_host(prediction: Prediction) -> Prediction:
    local = None if prediction.local is None else _pointmap_on_host(prediction.local)
    return Prediction(_pointmap_on_host(prediction.world), local)


def _pointmap_on_host(pointmap: Pointmap) -> Pointmap:
    # A copy, also on the CPU: a slice would keep the whole chunk that it is part of alive.
    points, confidence = (
        torch.empty(tensor.shape).copy_(tensor) for tensor in (pointmap.points, pointmap.confidence)
    )
    return Pointmap(points, confidence)


@contextmanager
def _explained_out_of_memory(views: Sequence[View], device: torch.device) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        largest = max(views, key=lambda view: view.height * view.width)
        raise MemoryError(
            f"{device} is too small for {len(views)} views of up to "
            f"{largest.width}x{largest.height} px; use fewer views (--num-frames for a video), "
            "a smaller --size, or --precision bfloat16. 'fast3r doctor' says what fits"
        ) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    # Only CUDA has a class for this; MPS and the host tell by their message.
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return "out of memory" in str(error) or "can't allocate memory" in str(error)
