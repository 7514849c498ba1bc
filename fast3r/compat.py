"""The calls of the archived reference project, answered by this library.

For scripts that were written against it: change the imports, see docs/coming-from-fast3r.md. Views
and predictions are dictionaries here, as they were there; new code is better off with
`fast3r.reconstruct`, which returns cameras in pixels of the original photos. Where the reference
answered a failure with the identity, these say None or keep nan.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from fast3r.geometry.alignment import align_local_to_world
from fast3r.geometry.cameras import pinhole, pixel_grid
from fast3r.geometry.focal import estimate_focal
from fast3r.geometry.poses import solve_poses
from fast3r.models.fast3r import Fast3R
from fast3r.scene.machine import choose_device
from fast3r.views.load import load_views

Entries = dict[str, Any]
"""A view or a prediction, under the reference's names."""

FocalMethod = Literal["first_view_from_global_head", "first_view_from_local_head", "individual"]

# Of the long side, as in `fast3r.reconstruct`.
_MAX_REPROJECTION = 24 / 512


def load_images(
    folder_or_list: str | Path | Sequence[str | Path], size: int = 512, *, patch_size: int = 16
) -> list[Entries]:
    """Return photos as views: `img` (1, 3, H, W) in [-1, 1], `true_shape`, `idx` and `instance`.

    Raises:
        ValueError: Nothing can be read; the message says why.
    """
    views = load_views(folder_or_list, size=size, patch=patch_size, lazy_above=10**9)
    return [
        {
            "img": view.image[None] * 2 - 1,
            "true_shape": np.array([[view.height, view.width]], dtype=np.int32),
            "idx": index,
            "instance": view.name,
        }
        for index, view in enumerate(views)
    ]


@torch.inference_mode()
def inference(
    views: Sequence[Entries],
    model: Fast3R,
    device: torch.device | str = "auto",
    dtype: torch.dtype = torch.float32,
    *,
    seed: int = 0,
) -> Entries:
    """Return `views` and `preds`: the pointmaps and confidences of each view, on the CPU.

    float32 means float32; in the reference it meant half precision.

    Args:
        views: From `load_images`.
        model: From `Fast3R.from_pretrained`; moved to the device.
        device: Where to compute.
        dtype: float32, or bfloat16 for the transformer.
        seed: Of the random view indices; the same seed gives the same result.

    Raises:
        ValueError: There is no such device, or views and dtype do not suit the model.
    """
    if dtype not in (torch.float32, torch.bfloat16):
        raise ValueError(f"dtype must be torch.float32 or torch.bfloat16, got {dtype}")
    model = model.to(choose_device(str(device)))
    images = [(view["img"] + 1) / 2 for view in views]
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        tokens = model.tokens(images, seed=seed)
    found: list[Entries] = [{} for _ in views]
    for index, prediction in model.predict(tokens):
        found[index] = {
            "pts3d_in_other_view": prediction.world.points.float().cpu(),
            "conf": prediction.world.confidence.float().cpu(),
        }
        if prediction.local is not None:
            found[index]["pts3d_local"] = prediction.local.points.float().cpu()
            found[index]["conf_local"] = prediction.local.confidence.float().cpu()
    return {"views": list(views), "preds": found, "loss": None}


def align_local_pts3d_to_global(
    preds: Sequence[Entries], views: Sequence[Entries] | None = None
) -> None:
    """Add `pts3d_local_aligned_to_global`: local points in the world, by a robust similarity.

    Nan where no similarity explains enough of the points.

    Args:
        preds: From `inference`; changed.
        views: Their `valid_mask` (B, H, W), where there is one, tells which pixels count.
    """
    for index, pred in enumerate(preds):
        mask = None if views is None else views[index].get("valid_mask")
        local = pred["pts3d_local"]
        fit = align_local_to_world(
            local.flatten(1, 2),
            pred["pts3d_in_other_view"].flatten(1, 2),
            confidence=pred["conf"].flatten(1),
            mask=None if mask is None else torch.as_tensor(mask).bool().flatten(1),
        ).world_from_local
        aligned = fit.scale[:, None, None] * (local.flatten(1, 2) @ fit.rotation.mT)
        pred["pts3d_local_aligned_to_global"] = (aligned + fit.translation[:, None]).view_as(local)


def estimate_camera_poses(
    preds: Sequence[Entries],
    views: Sequence[Entries] | None = None,
    *,
    focal_length_estimation_method: FocalMethod = "first_view_from_global_head",
) -> tuple[list[list[np.ndarray | None]], list[list[float | None]]]:
    """Return for each sample of the batch the poses and focal lengths of its views.

    A pose is `world_from_camera` (4, 4), OpenCV axes, from PnP on the world points; None where no
    pose explains them. A focal length is in pixels of the network's image, None where the points
    tell none.

    Args:
        preds: From `inference`.
        views: Their `valid_mask` (B, H, W), where there is one, tells which pixels count.
        focal_length_estimation_method: One focal length for all views, that of the first one's
            world or local points; or each view's own, from its local points.

    Raises:
        ValueError: The method is unknown.
    """
    focals = _focals(preds, focal_length_estimation_method)
    poses = [
        _poses(pred, focal, None if views is None else views[index].get("valid_mask"))
        for index, (pred, focal) in enumerate(zip(preds, focals, strict=True))
    ]
    told = [[float(f) if f.isfinite() else None for f in focal] for focal in focals]
    return _by_sample(poses), _by_sample(told)


def _focals(preds: Sequence[Entries], method: str) -> list[Tensor]:
    """Return the focal lengths (B,) of each view."""
    if method == "first_view_from_global_head":
        return [estimate_focal(preds[0]["pts3d_in_other_view"], preds[0]["conf"])] * len(preds)
    if method == "first_view_from_local_head":
        return [estimate_focal(preds[0]["pts3d_local"], preds[0]["conf_local"])] * len(preds)
    if method == "individual":
        return [estimate_focal(pred["pts3d_local"], pred["conf_local"]) for pred in preds]
    raise ValueError(
        "focal_length_estimation_method must be first_view_from_global_head, "
        f"first_view_from_local_head or individual, got {method!r}"
    )


def _poses(pred: Entries, focal_px: Tensor, mask: Any) -> list[np.ndarray | None]:
    """Return the pose of one view in each sample."""
    batch, height, width = pred["conf"].shape
    known = focal_px.isfinite()
    keep = known[:, None].expand(batch, height * width)
    if mask is not None:
        keep = keep & torch.as_tensor(mask).bool().flatten(1)
    found = solve_poses(
        pred["pts3d_in_other_view"].flatten(1, 2),
        pixel_grid(height, width).flatten(0, 1)[None],
        pinhole(focal_px.where(known, 1.0), height, width),
        confidence=pred["conf"].flatten(1),
        mask=keep,
        max_reprojection_px=_MAX_REPROJECTION * max(height, width),
    )
    pairs = zip(found.world_from_camera.numpy(), found.registered.tolist(), strict=True)
    return [pose if registered else None for pose, registered in pairs]


def _by_sample(by_view: list[list[Any]]) -> list[list[Any]]:
    return [list(sample) for sample in zip(*by_view, strict=True)]
