"""Errors of a reconstructed scene, from pointmaps that answer true ones pixel by pixel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.data.frame import Frame
from fast3r.evaluation.alignment import above_percentile, align_points, refine_by_icp
from fast3r.evaluation.benchmark import DenseView
from fast3r.evaluation.metrics.clouds import CloudErrors, cloud_errors
from fast3r.geometry.cameras import pixel_grid, pixels_through, rays_through


@dataclass(frozen=True)
class ScannedView:
    """A view's predicted surface and the true one, on the same pixels."""

    points: Float[Tensor, "height width 3"]
    """Predicted, in the world of the prediction; what is not finite was not predicted."""

    confidence: Float[Tensor, "height width"]
    """The greater the surer; 0 where nothing was predicted."""

    truth: Float[Tensor, "height width 3"]
    """True world points."""

    valid: Bool[Tensor, "height width"]
    """Where the true ones are known."""


def scanned_view(frame: Frame, dense: DenseView | None) -> ScannedView:
    """Return an answer's surface beside the true one, which is read at the answer's own pixels.

    The depth of the photo pixel that holds the centre of a grid pixel is the depth there, without
    interpolation across edges. Without an answer the pixels are those of the photo.

    Raises:
        ValueError: The frame has no depth.
    """
    if frame.depth is None:
        raise ValueError(f"{frame.name} has no depth: there is no surface to compare with")
    dense = _no_answer(frame) if dense is None else dense
    height, width = dense.confidence.shape
    photo_from_grid = torch.from_numpy(dense.photo_from_grid).double()
    pixels = pixels_through(photo_from_grid, pixel_grid(height, width).double())
    x, y = pixels.floor().long().unbind(-1)
    rows, columns = frame.depth.shape
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    photo = torch.from_numpy(frame.depth).double()
    depth = photo[y.clamp(0, rows - 1), x.clamp(0, columns - 1)].where(inside, 0)
    rays = rays_through(pixels.flatten(0, 1), torch.from_numpy(frame.intrinsics).double())
    pose = torch.from_numpy(frame.world_from_camera).double()
    world = (rays * depth.flatten()[:, None]) @ pose[:3, :3].mT + pose[:3, 3]
    return ScannedView(
        points=torch.from_numpy(dense.points).double(),
        confidence=torch.from_numpy(dense.confidence).double(),
        truth=world.unflatten(0, (height, width)),
        valid=depth > 0,
    )


def _no_answer(frame: Frame) -> DenseView:
    size = frame.image.shape[:2]
    return DenseView(np.full((*size, 3), np.nan), np.zeros(size), np.zeros(size), np.eye(3))


def reconstruction_errors(
    views: Sequence[ScannedView],
    *,
    align_percentile: float = 85.0,
    min_conf_percentile: float = 0.0,
    icp_distance: float | None = None,
    thresholds: Sequence[float] = (),
    threads: int = 1,
) -> CloudErrors | None:
    """Return the errors of a scene after one similarity that is fitted to its surest points.

    The defaults are the protocol of the Fast3R paper for DTU, 7-Scenes and NRGBD. With
    `align_percentile` 0 and an `icp_distance` they are that of later ones (VGGT, Pi3): Umeyama
    over all pixels, then point-to-point ICP.

    Args:
        views: All of a scene. A view without a prediction still counts as true surface.
        align_percentile: The similarity is fitted to valid pixels whose confidence is no less
            than this percentile of their view.
        min_conf_percentile: Pixels below this percentile of their view are no part of the cloud.
        icp_distance: Largest distance of a pair in an ICP that follows, in units of truth; None
            for no ICP.
        thresholds: Of F-scores, in units of truth.
        threads: For the search of neighbours; -1 for all cores.

    Returns:
        None where the points do not determine a similarity.

    Raises:
        ImportError: Without SciPy.
        ValueError: No true point is known.
    """
    anchors = [_chosen(view, align_percentile) for view in views]
    truth_from_predicted = align_points(
        torch.cat([view.points[mask] for view, mask in zip(views, anchors, strict=True)]),
        torch.cat([view.truth[mask] for view, mask in zip(views, anchors, strict=True)]),
    )
    if truth_from_predicted is None:
        return None
    kept = [view.points[_chosen(view, min_conf_percentile)] for view in views]
    cloud = truth_from_predicted(torch.cat(kept).double())
    truth = torch.cat([view.truth[view.valid] for view in views]).double()
    if icp_distance is not None:
        closer = refine_by_icp(cloud, truth, max_distance=icp_distance, threads=threads)
        if closer is None:
            return None
        cloud = closer(cloud)
    return cloud_errors(cloud, truth, thresholds=thresholds, threads=threads)


def _chosen(view: ScannedView, percentile: float) -> Bool[Tensor, "height width"]:
    known = view.points.isfinite().all(dim=-1) & (view.confidence > 0)
    return view.valid & known & above_percentile(view.confidence, percentile)
