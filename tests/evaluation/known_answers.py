"""Answers whose scores are known, made from what is true of the frames of a case."""

from collections.abc import Callable, Sequence

import numpy as np

from fast3r.data.frame import Frame
from fast3r.evaluation.benchmark import Answer, DenseView

SCALE = 0.37
ROTATION = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0], [0.48, 0.64, 0.6]])
TRANSLATION = np.array([5.0, -2, 7])

Change = Callable[[int, np.ndarray], np.ndarray]
"""Makes something else of what is true of a view, given its place among the views."""


def same(_place: int, truth: np.ndarray) -> np.ndarray:
    return truth


def answer(
    frames: Sequence[Frame],
    *,
    stride: int = 1,
    pose: Change = same,
    depth: Change = same,
    points: Change = same,
) -> Answer:
    """Return the truth, or a change of it, in another world and unit, on a grid of coarse pixels.

    The stride must be odd, so that the centres of grid pixels are centres of photo pixels.
    """
    poses, views = [], []
    for place, frame in enumerate(frames):
        made = pose(place, frame.world_from_camera)
        moved = np.eye(4)
        moved[:3, :3] = ROTATION @ made[:3, :3]
        moved[:3, 3] = SCALE * (ROTATION @ made[:3, 3]) + TRANSLATION
        poses.append(moved)
        views.append(_dense(frame, place, stride, depth, points))
    return Answer(poses, [frame.intrinsics for frame in frames], views)


def nothing(frames: Sequence[Frame]) -> Answer:
    """Return the answer of a method that placed no view."""
    none = [None] * len(frames)
    return Answer(none, none, none)


def turned_about_its_axis(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return what turns a camera about the axis it looks along."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cos, -sin, 0, 0], [sin, cos, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return lambda pose: pose @ turn


def _dense(
    frame: Frame, place: int, stride: int, depth: Change, points: Change
) -> DenseView | None:
    if frame.depth is None:
        return None
    rows, columns = (np.arange(stride // 2, side, stride) for side in frame.depth.shape)
    # Grid pixels at the far edges that the photo does not fill are left out.
    rows, columns = (
        rows[: frame.depth.shape[0] // stride],
        columns[: frame.depth.shape[1] // stride],
    )
    known = frame.depth[np.ix_(rows, columns)].astype(np.float64)
    x, y = np.meshgrid(columns + 0.5, rows + 0.5)
    rays = np.stack((x, y, np.ones_like(x)), axis=-1) @ np.linalg.inv(frame.intrinsics).T
    in_camera = rays * known[..., None]
    pose = frame.world_from_camera
    world = points(place, in_camera @ pose[:3, :3].T + pose[:3, 3])
    return DenseView(
        points=SCALE * world @ ROTATION.T + TRANSLATION,
        depth=SCALE * depth(place, known),
        confidence=np.where(known > 0, 2.0, 0.5),
        photo_from_grid=np.diag([float(stride), float(stride), 1.0]),
    )
