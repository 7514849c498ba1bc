"""A small picture of a case: photos, depth and confidence, and a map of the cameras."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw

from fast3r.data.frame import Frame
from fast3r.evaluation.alignment import align_poses
from fast3r.evaluation.benchmark import Answer, DenseView
from fast3r.evaluation.figures import predicted_poses, true_poses
from fast3r.geometry.cameras import Camera
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.scene.staging import staging
from fast3r.views.view import View
from fast3r.viz.stills import depth_strip

_ROWS = 4
_ROW_PX = 96
_MAP_PX = _ROWS * _ROW_PX
_MARGIN_PX = 28
_TRUE, _FOUND, _LINK = (40, 110, 60), (225, 80, 30), (200, 170, 150)
_BACKGROUND = (246, 246, 244)


def write_picture(path: Path, frames: Sequence[Frame], answer: Answer | None) -> None:
    """Write the picture of an answer, or of a failure, as JPEG."""
    parts = [_photo_column(frames)]
    if answer is not None:
        dense = _dense_sheet(frames, answer)
        parts = [
            *([_photo_column(frames)] if dense is None else [dense]),
            camera_map(frames, answer),
        ]
    sheet = Image.new(
        "RGB", (sum(p.width for p in parts), max(p.height for p in parts)), _BACKGROUND
    )
    left = 0
    for part in parts:
        sheet.paste(part, (left, 0))
        left += part.width
    with staging(path.parent) as stage:
        sheet.save(stage / path.name, quality=85)


def camera_map(frames: Sequence[Frame], answer: Answer) -> Image.Image:
    """Return a map of the cameras, seen from where they spread most.

    Green: the true ones; red: the found ones, after the similarity that brings their centres
    closest; a line joins the two of a photo. Strokes show where cameras look.
    """
    picture = Image.new("RGB", (_MAP_PX, _MAP_PX), _BACKGROUND)
    truth, made = true_poses(frames), predicted_poses(answer)
    fit = align_poses(made, truth)
    found: list[np.ndarray | None] = [None] * len(frames)
    if fit is not None:
        found = [None if pose is None else fit.moved_pose(pose).numpy() for pose in made]
    _draw_map(ImageDraw.Draw(picture), truth.numpy(), found)
    return picture


def _draw_map(
    draw: ImageDraw.ImageDraw,
    truth: Float[np.ndarray, "views 4 4"],
    found: Sequence[np.ndarray | None],
) -> None:
    centres = truth[:, :3, 3]
    middle = centres.mean(axis=0)
    # The two directions in which the true centres, and where they look, spread most.
    spread = np.concatenate((centres - middle, 0.2 * _extent(centres) * truth[:, :3, 2]))
    axes = np.linalg.svd(spread, full_matrices=True)[2][:2]
    flat = [axes @ (pose[:3, 3] - middle) for pose in [*truth, *found] if pose is not None]
    # Cameras that went far astray stay outside the map rather than shrink the rest.
    reach = max(2.5 * np.abs(flat[: len(truth)]).max(), 1e-9)
    reach = min(reach, max(np.abs(np.stack(flat)).max(), 1e-9))
    scale = (_MAP_PX / 2 - _MARGIN_PX) / reach

    def place(point: np.ndarray) -> tuple[float, float]:
        # Pillow's time grows with the length of a line.
        x, y = (scale * (axes @ (point - middle)) + _MAP_PX / 2).clip(-_MAP_PX, 2 * _MAP_PX)
        return float(x), float(y)

    for true, made in zip(truth, found, strict=True):
        if made is not None:
            draw.line((place(true[:3, 3]), place(made[:3, 3])), fill=_LINK, width=1)
    stroke = 22 / scale
    for poses, color in ((truth, _TRUE), (found, _FOUND)):
        for pose in poses:
            if pose is None:
                continue
            x, y = place(pose[:3, 3])
            ahead = place(pose[:3, 3] + stroke * pose[:3, 2])
            draw.line(((x, y), ahead), fill=color, width=2)
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=color)


def _extent(centres: Float[np.ndarray, "views 3"]) -> float:
    return max(float(np.abs(centres - centres.mean(axis=0)).max()), 1e-9)


def _photo_column(frames: Sequence[Frame]) -> Image.Image:
    """Return photos below each other, evenly chosen."""
    chosen = [frames[k * len(frames) // _ROWS] for k in range(_ROWS)]
    chosen = list(frames) if len(frames) <= _ROWS else chosen
    photos = [Image.fromarray(frame.image) for frame in chosen]
    photos = [p.resize((max(round(p.width * _ROW_PX / p.height), 1), _ROW_PX)) for p in photos]
    sheet = Image.new("RGB", (max(p.width for p in photos), _MAP_PX), _BACKGROUND)
    for row, photo in enumerate(photos):
        sheet.paste(photo, (0, row * _ROW_PX))
    return sheet


def _dense_sheet(frames: Sequence[Frame], answer: Answer) -> Image.Image | None:
    """Return photo, depth and confidence of some views; None without any."""
    views: list[View] = []
    cameras: list[Camera | None] = []
    depth: list[torch.Tensor] = []
    confidence: list[torch.Tensor] = []
    entries = zip(frames, answer.dense, answer.world_from_camera, answer.intrinsics, strict=True)
    for frame, dense, pose, intrinsics in entries:
        if dense is None or pose is None or intrinsics is None:
            continue
        views.append(_view_on_grid(frame, dense, len(views)))
        height, width = frame.image.shape[:2]
        cameras.append(Camera(_tensor(intrinsics), _tensor(pose), height, width))
        depth.append(_tensor(dense.depth))
        confidence.append(_tensor(dense.confidence))
    if not views:
        return None
    nothing: list[str | None] = [None] * len(views)
    scene = Reconstruction(views, cameras, depth, confidence, nothing, [], Scale())
    return depth_strip(scene, max_views=_ROWS, height=_ROW_PX)


def _view_on_grid(frame: Frame, dense: DenseView, index: int) -> View:
    """Return the photo as it is at the grid pixels, each from the nearest photo pixel."""
    height, width = dense.depth.shape
    affine = dense.photo_from_grid
    rows = affine[1, 1] * (np.arange(height) + 0.5) + affine[1, 2]
    columns = affine[0, 0] * (np.arange(width) + 0.5) + affine[0, 2]
    rows = rows.astype(int).clip(0, frame.image.shape[0] - 1)
    columns = columns.astype(int).clip(0, frame.image.shape[1] - 1)
    return View(
        pixels=torch.from_numpy(frame.image[np.ix_(rows, columns)]),
        original_from_network=_tensor(affine),
        name=f"{index:05}",
        original_height=frame.image.shape[0],
        original_width=frame.image.shape[1],
    )


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
