"""Pictures of what a network makes of a scene, beside the truth."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from fast3r.data.sample import Sample, frame_points
from fast3r.evaluation.methods.fast3r import view_of
from fast3r.geometry.cameras import Camera, invert_rigid
from fast3r.models.prediction import Prediction
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.scene.trusted_pixels import surest_pixels
from fast3r.views.view import View
from fast3r.viz.stills import depth_strip, render_still

_SURE_PERCENTILE = 30.0
_STILL_PX = (480, 360)


def scene_views(sample: Sample, index: int) -> list[View]:
    """Return the photos of a scene of a sample on the host."""
    photos = (sample.images[index].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    return [view_of(photo, place) for place, photo in enumerate(photos)]


def draw_scene(
    predictions: Sequence[Prediction], truth: Sample, index: int
) -> dict[str, Image.Image]:
    """Return pictures by name: "depth" and "points".

    They need no recovered camera, so that they show something from the first step on: each view
    from its true place, depth scaled by its median, points by their mean distance. "depth" has a
    row a view: photo, depth, confidence, true depth. "points" has the world pointmaps beside the
    true points, with the true cameras.

    Args:
        predictions: One per view, of batch size 1, on the host.
        truth: The sample that holds the scene, on the host.
        index: Which of its scenes.
    """
    poses = truth.world_from_camera[index]
    poses = invert_rigid(poses[:1]) @ poses
    local = frame_points(truth.points, truth.world_from_camera)[index, ..., 2]
    depth = local.where(truth.valid[index], 0)
    views = scene_views(truth, index)
    cameras = [
        Camera(k, pose, view.height, view.width)
        for k, pose, view in zip(truth.intrinsics[index], poses, views, strict=True)
    ]
    maps = [p.world if p.local is None else p.local for p in predictions]
    made = [_like(m.points[0, ..., 2], d) for m, d in zip(maps, depth, strict=True)]
    sure = [m.confidence[0] for m in maps]
    scene = _scene(views, cameras, made, sure)
    true = _scene(views, cameras, list(depth), [torch.ones_like(d) for d in depth])
    found = {}
    if depth.any():
        strips = depth_strip(scene, height=120), depth_strip(true, height=120)
        third = strips[1].width // 3
        found["depth"] = _beside(strips[0], strips[1].crop((third, 0, 2 * third, strips[1].height)))
        stills = [_still(true, _world_cloud(predictions, true)), _still(true, None)]
        found["points"] = _beside(*stills)
    return found


def _scene(
    views: list[View], cameras: list[Camera], depth: list[Tensor], confidence: list[Tensor]
) -> Reconstruction:
    return Reconstruction(
        views=views,
        cameras=list(cameras),
        depth=depth,
        confidence=confidence,
        failures=[None] * len(views),
        skipped=[],
        scale=Scale(),
    )


def _like(
    made: Float[Tensor, "height width"], true: Float[Tensor, "height width"]
) -> Float[Tensor, "height width"]:
    """Return a depth scaled to the median of the true one; as it is where that has none."""
    known = true > 0
    if not known.any():
        return made
    return made * (true[known].median() / made[known].median().clamp(min=1e-8))


def _world_cloud(predictions: Sequence[Prediction], true: Reconstruction) -> PointCloud:
    """Return the surest world points, scaled to the mean distance of the true ones."""
    points = torch.stack([p.world.points[0] for p in predictions])
    valid = torch.stack([true.valid(i) for i in range(len(predictions))])
    real = torch.stack([true.world_points(i) for i in range(len(predictions))])
    scale = real[valid].norm(dim=-1).mean() / points[valid].norm(dim=-1).mean().clamp(min=1e-8)
    rows = [p.world.confidence[0] for p in predictions]
    keep = [surest_pixels(c, v, _SURE_PERCENTILE) for c, v in zip(rows, valid, strict=True)]
    view, row, column = torch.stack(keep).nonzero(as_tuple=True)
    return PointCloud(
        points=points[view, row, column] * scale,
        colors=torch.stack([v.pixels for v in true.views])[view, row, column],
        confidence=torch.stack(rows)[view, row, column],
        view_index=view,
        pixel=torch.stack((column, row), dim=-1) + 0.5,
    )


def _still(scene: Reconstruction, cloud: PointCloud | None) -> Image.Image:
    width, height = _STILL_PX
    return render_still(scene, width=width, height=height, cloud=cloud)


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (left.width + right.width, max(left.height, right.height)))
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width, 0))
    return sheet
