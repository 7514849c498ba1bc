"""Help for adapters: photos as one batch, and what a model says of it as an answer.

Arrays and tensors of any device and type will do; the first axis is the photos'.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from fast3r.evaluation.benchmark import Answer, DenseView
from fast3r.geometry.cameras import unproject
from fast3r.models.prediction import Pointmap, Prediction
from fast3r.scene.cameras import recover_cameras
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.views.resize import plan_resize
from fast3r.views.view import View

Photos = Sequence[UInt8[np.ndarray, "_ _ 3"]]


def on_common_grid(
    photos: Photos, *, size: int, patch: int
) -> tuple[Float[Tensor, "photos 3 height width"], list[Float[np.ndarray, "3 3"]]]:
    """Return photos as one batch in [0, 1], and each photo's `photo_from_grid`.

    The long side of the grid is `size` and its shape about the first photo's; all photos are
    cropped around their centre to that shape.

    Args:
        photos: Of any sizes.
        size: Long side of the grid in pixels, a multiple of `patch`.
        patch: Of the model, in pixels.

    Raises:
        ValueError: `size` is not a multiple of `patch`, or the first photo is too narrow.
    """
    plan = plan_resize(*photos[0].shape[:2], size=size, patch=patch)
    images, maps = [], []
    for photo in photos:
        height, width = photo.shape[:2]
        pitch = min(height / plan.height, width / plan.width)
        left = max((width - pitch * plan.width) / 2, 0)
        top = max((height - pitch * plan.height) / 2, 0)
        # The sum may exceed the photo by a rounding error, which Pillow refuses.
        right = min(left + pitch * plan.width, width)
        bottom = min(top + pitch * plan.height, height)
        small = Image.fromarray(photo).resize(
            (plan.width, plan.height), Image.Resampling.LANCZOS, box=(left, top, right, bottom)
        )
        images.append(torch.from_numpy(np.array(small)).permute(2, 0, 1) / 255)
        maps.append(np.array([[pitch, 0, left], [0, pitch, top], [0, 0, 1]]))
    return torch.stack(images), maps


def answer_of_cameras(
    photo_from_grid: Sequence[Float[np.ndarray, "3 3"]],
    *,
    poses: Any,
    poses_are: Literal["world_from_camera", "camera_from_world"],
    intrinsics: Any,
    depth: Any = None,
    confidence: Any = None,
) -> Answer:
    """Return the answer of a model that gives cameras, and depth if it does.

    Args:
        photo_from_grid: Of `on_common_grid`.
        poses: (photos, 3 or 4, 4), OpenCV axes.
        poses_are: The direction of the poses.
        intrinsics: (photos, 3, 3), in pixels of the grid, pixel centres at +0.5.
        depth: (photos, height, width), along the camera's z axis in units of the poses; 0 or nan
            where unknown.
        confidence: (photos, height, width), the greater the surer; 1 everywhere if not given.

    Raises:
        ValueError: The numbers of photos differ.
    """
    world_from_camera = _square(_array(poses))
    if poses_are == "camera_from_world":
        world_from_camera = np.linalg.inv(world_from_camera)
    in_grid = _array(intrinsics)
    count = len(photo_from_grid)
    if not count == len(world_from_camera) == len(in_grid):
        raise ValueError(
            f"expected poses and intrinsics of {count} photos, got {len(world_from_camera)} and "
            f"{len(in_grid)}"
        )
    dense: list[DenseView | None] = [None] * count
    if depth is not None:
        maps = np.nan_to_num(_array(depth), nan=0, posinf=0, neginf=0).clip(min=0)
        sure = np.ones_like(maps) if confidence is None else _array(confidence)
        dense = [
            _surface(*view)
            for view in zip(maps, sure, in_grid, world_from_camera, photo_from_grid, strict=True)
        ]
    in_photo = [a @ k for a, k in zip(photo_from_grid, in_grid, strict=True)]
    return Answer(list(world_from_camera), in_photo, dense)


def answer_of_pointmaps(
    photos: Photos,
    photo_from_grid: Sequence[Float[np.ndarray, "3 3"]],
    *,
    world_points: Any,
    confidence: Any,
    local_points: Any = None,
    local_confidence: Any = None,
) -> Answer:
    """Return the answer of a model that gives pointmaps; cameras are found as for our own.

    Args:
        photos: As the adapter got them.
        photo_from_grid: Of `on_common_grid`.
        world_points: (photos, height, width, 3), in the frame of the first camera.
        confidence: (photos, height, width), positive, the greater the surer.
        local_points: The same in the frame of each camera, in a unit of its own.
        local_confidence: Of the local points.
    """
    world = _tensor(world_points), _tensor(confidence)
    local = None if local_points is None else (_tensor(local_points), _tensor(local_confidence))
    predictions = [
        Prediction(_pointmap(world, index), None if local is None else _pointmap(local, index))
        for index in range(len(photos))
    ]
    size = world[0].shape[1:3]
    views = [
        View(
            pixels=torch.zeros(*size, 3, dtype=torch.uint8),
            original_from_network=torch.from_numpy(affine).float(),
            name=f"{index:05}",
            original_height=photo.shape[0],
            original_width=photo.shape[1],
        )
        for index, (photo, affine) in enumerate(zip(photos, photo_from_grid, strict=True))
    ]
    return answer_of_scene(scene_of(predictions, views))


def scene_of(
    predictions: Sequence[Prediction],
    views: Sequence[View],
    *,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> Reconstruction:
    """Return the reconstruction that pointmaps on the host give."""
    found = recover_cameras(predictions, views, device=device, seed=seed)
    return Reconstruction(
        views=list(views),
        cameras=found.cameras,
        depth=found.depth,
        confidence=found.confidence,
        failures=found.failures,
        skipped=[],
        scale=Scale(),
    )


def answer_of_scene(scene: Reconstruction) -> Answer:
    """Return what a reconstruction says, in the terms of a benchmark."""
    return Answer(
        [None if c is None else c.world_from_camera.double().numpy() for c in scene.cameras],
        [None if c is None else c.intrinsics.double().numpy() for c in scene.cameras],
        [_dense_of_scene(scene, index) for index in range(len(scene.views))],
    )


def _dense_of_scene(scene: Reconstruction, index: int) -> DenseView | None:
    if scene.cameras[index] is None:
        return None
    valid = scene.valid(index)
    return DenseView(
        points=scene.world_points(index).where(valid[..., None], 0).numpy(),
        depth=scene.depth[index].where(valid, 0).numpy(),
        confidence=scene.confidence[index].where(valid, 0).numpy(),
        photo_from_grid=scene.views[index].original_from_network.double().numpy(),
    )


def _surface(
    depth: Float[np.ndarray, "height width"],
    confidence: Float[np.ndarray, "height width"],
    intrinsics: Float[np.ndarray, "3 3"],
    world_from_camera: Float[np.ndarray, "4 4"],
    photo_from_grid: Float[np.ndarray, "3 3"],
) -> DenseView:
    parts = (torch.from_numpy(part) for part in (depth, intrinsics, world_from_camera))
    points = unproject(*parts).numpy()
    return DenseView(points, depth, np.where(depth > 0, confidence, 0), photo_from_grid)


def _pointmap(points_and_confidence: tuple[Tensor, Tensor], index: int) -> Pointmap:
    points, confidence = points_and_confidence
    return Pointmap(points[index, None], confidence[index, None])


def _tensor(values: Any) -> Tensor:
    return torch.as_tensor(values).detach().to("cpu", torch.float32)


def _array(values: Any) -> np.ndarray:
    return torch.as_tensor(values).detach().to("cpu", torch.float64).numpy()


def _square(poses: Float[np.ndarray, "photos rows 4"]) -> Float[np.ndarray, "photos 4 4"]:
    square = np.tile(np.eye(4), (len(poses), 1, 1))
    square[:, : poses.shape[1]] = poses
    return square
