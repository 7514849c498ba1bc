"""The recipes of the published Fast3R, kept to compare with: focal length, alignment, poses.

They use integer pixel centres, take confidence as a threshold only, and solve view by view.
Our own are in focal.py, alignment.py and poses.py. Where the published code answers a failure
with an identity or a guess, these report it.
"""

from types import ModuleType
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fast3r.geometry.alignment import Alignment
from fast3r.geometry.cameras import invert_rigid, pinhole, pixel_grid, project
from fast3r.geometry.poses import PoseEstimate
from fast3r.geometry.transforms import Similarity, fit_similarity, rotation_exp

_MAX_REPROJECTION_PX = 5.0
_ITERATIONS = 100
_FOCAL_GUESSES = 100


def focal_reference(
    points: Float[Tensor, "views height width 3"],
    confidence: Float[Tensor, "views height width"],
    *,
    min_conf_percentile: float = 10.0,
    method: Literal["weiszfeld", "median"] = "weiszfeld",
    iterations: int = 100,
) -> Float[Tensor, " views"]:
    """Return focal lengths in pixels, by Weiszfeld iterations or by the median over pixels.

    DUSt3R's recipe is percentile 0 with 10 iterations; the median takes all pixels.
    """
    _, height, width, _ = points.shape
    centre = points.new_tensor((width / 2, height / 2))
    offsets = (pixel_grid(height, width, points.device) - 0.5 - centre).flatten(0, 1)
    focals = []
    for view, conf in zip(points.flatten(1, 2), confidence.flatten(1), strict=True):
        if method == "median":
            focals.append((offsets * view[:, 2:] / view[:, :2]).flatten().nanmedian())
        else:
            kept = conf >= conf.quantile(min_conf_percentile / 100)
            focals.append(_weiszfeld(view[kept], offsets[kept], iterations))
    return torch.stack(focals)


def _weiszfeld(
    points: Float[Tensor, "points 3"], offsets: Float[Tensor, "points 2"], iterations: int
) -> Float[Tensor, ""]:
    """Return the focal length f that minimises the sum of distances |offset - f slope|."""
    slopes = (points[:, :2] / points[:, 2:]).nan_to_num(0, 0, 0)
    along, squared = (slopes * offsets).sum(dim=-1), slopes.square().sum(dim=-1)
    focal = along.mean() / squared.mean()
    for _ in range(iterations):
        distance = torch.linalg.vector_norm(offsets - focal * slopes, dim=-1)
        weights = 1 / distance.clamp(min=1e-8)
        focal = (weights * along).sum() / (weights * squared).sum()
    return focal


def align_reference(
    local_points: Float[Tensor, "views points 3"],
    world_points: Float[Tensor, "views points 3"],
    world_confidence: Float[Tensor, "views points"],
    *,
    mask: Bool[Tensor, "views points"] | None = None,
    min_conf_percentile: float = 0.0,
) -> Alignment:
    """Return one unweighted Umeyama fit per view, over its points above a confidence percentile.

    With fewer than 3 such points, all points under the mask are used; with fewer than 3 of
    these, the view is not aligned.
    """
    mask = torch.ones_like(world_confidence, dtype=torch.bool) if mask is None else mask
    least = torch.stack([conf.quantile(min_conf_percentile / 100) for conf in world_confidence])
    kept = mask & (world_confidence >= least[:, None])
    kept = kept.where(kept.sum(dim=-1, keepdim=True) >= 3, mask)
    aligned = kept.sum(dim=-1) >= 3
    fit = fit_similarity(local_points, world_points, kept.to(local_points))
    failed = ~aligned
    fit = Similarity(
        fit.scale.masked_fill(failed, torch.nan),
        fit.rotation.masked_fill(failed[:, None, None], torch.nan),
        fit.translation.masked_fill(failed[:, None], torch.nan),
    )
    return Alignment(fit, aligned, kept.to(local_points).mean(dim=-1))


def solve_poses_reference(
    points: list[Float[Tensor, "_ _ 3"]],
    confidence: list[Float[Tensor, "_ _"]],
    focal_px: float | None,
) -> PoseEstimate:
    """Return poses by OpenCV's RANSAC with SQPnP at 5 px, over points of confidence above 1.

    Args:
        points: World pointmap of each view.
        confidence: Of the same sizes.
        focal_px: One focal length for all views: the published demo gives the first view's, by
            `focal_reference`. None tries 100 of them in each view and keeps the one with most
            inliers.

    Raises:
        ImportError: Without OpenCV.
    """
    cv2 = _opencv()
    found = []
    for view, conf in zip(points, confidence, strict=True):
        height, width = conf.shape
        side = max(height, width)
        guesses = [focal_px] if focal_px else _geometric(side / 2, 3 * side, _FOCAL_GUESSES)
        attempts = [_pnp(cv2, view, conf, guess) for guess in guesses]
        # The first of equals, as in the original.
        found.append(max(attempts, key=lambda attempt: float(attempt.inlier_ratio)))
    return PoseEstimate(*(torch.cat(field) for field in zip(*found, strict=True)))


def _opencv() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            "the reference's pose recipe needs OpenCV: pip install opencv-python-headless"
        ) from error
    return cv2


def _geometric(first: float, last: float, count: int) -> list[float]:
    return [first * (last / first) ** (step / (count - 1)) for step in range(count)]


def _pnp(
    cv2: ModuleType,
    points: Float[Tensor, "height width 3"],
    confidence: Float[Tensor, "height width"],
    focal_px: float,
) -> PoseEstimate:
    """Return the pose of one view for one focal length, as a batch of one."""
    height, width = confidence.shape
    kept = confidence > 1
    pixels = (pixel_grid(height, width) - 0.5)[kept.cpu()]
    intrinsics = pinhole(torch.tensor([focal_px]), height, width)
    solution = _pnp_ransac(cv2, points[kept].cpu(), pixels, intrinsics[0])
    if solution is None:
        nothing = torch.full((1, 4, 4), torch.nan)
        return PoseEstimate(nothing, torch.tensor([False]), torch.zeros(1), nothing[:, 0, 0])
    camera_from_world, inliers = solution
    seen, _ = project(points[kept].cpu()[inliers][None], intrinsics, camera_from_world)
    error = torch.linalg.vector_norm(seen[0] - pixels[inliers], dim=-1)
    return PoseEstimate(
        invert_rigid(camera_from_world),
        torch.tensor([True]),
        torch.tensor([len(inliers) / len(pixels)]),
        error.median()[None],
    )


def _pnp_ransac(
    cv2: ModuleType,
    points: Float[Tensor, "points 3"],
    pixels: Float[Tensor, "points 2"],
    intrinsics: Float[Tensor, "3 3"],
) -> tuple[Float[Tensor, "1 4 4"], Int[Tensor, " inliers"]] | None:
    """Return camera_from_world and the indices of the inliers; None where OpenCV finds none."""
    if len(points) < 4:
        return None
    try:
        found, turn, shift, inliers = cv2.solvePnPRansac(
            points.float().numpy(),
            pixels.numpy(),
            intrinsics.numpy(),
            None,
            iterationsCount=_ITERATIONS,
            reprojectionError=_MAX_REPROJECTION_PX,
            flags=cv2.SOLVEPNP_SQPNP,
        )
    except cv2.error:
        # OpenCV refuses some degenerate sets of points by an exception.
        return None
    if not found or inliers is None:
        return None
    camera_from_world = torch.eye(4, dtype=torch.float64)[None]
    camera_from_world[0, :3, :3] = rotation_exp(torch.from_numpy(turn[:, 0]))
    camera_from_world[0, :3, 3] = torch.from_numpy(shift[:, 0])
    return camera_from_world.to(torch.float32), torch.from_numpy(inliers[:, 0]).long()
