"""A tiny benchmark with a known answer, and methods that answer it well, badly or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fast3r.data.frame import BrokenFrameError, Frame
from fast3r.evaluation.benchmark import Answer, DenseView


def frame(place: int, *, brightness: int = 0) -> Frame:
    """Return a photo of a wall 4 units away, taken a step further to the right each time."""
    pose = np.eye(4)
    pose[0, 3] = place
    image = np.full((24, 32, 3), (40 * place + brightness) % 256, np.uint8)
    intrinsics = np.array([[30.0, 0, 16], [0, 30, 12], [0, 0, 1]])
    return Frame(f"{place}", image, np.full((24, 32), 4, np.float32), intrinsics, pose)


def truth(frames: Sequence[Frame]) -> Answer:
    """Return what is true of frames."""
    return Answer(
        [f.world_from_camera for f in frames],
        [f.intrinsics for f in frames],
        [wall(f) for f in frames],
    )


def wall(frame: Frame) -> DenseView:
    """Return the true surface of a frame."""
    assert frame.depth is not None
    height, width = frame.depth.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack((x, y, np.ones_like(x)), axis=-1) @ np.linalg.inv(frame.intrinsics).T
    points = rays * frame.depth[..., None] + frame.world_from_camera[:3, 3]
    return DenseView(points, frame.depth, np.ones_like(frame.depth), np.eye(3))


@dataclass
class Steps:
    """How well the step from the first to the second camera is guessed."""

    name: str = "steps"
    protocol: str = "The second camera's x."
    columns: Sequence[str] = ("found %", "error m")
    published: Mapping[str, Mapping[str, float]] = field(
        default_factory=lambda: {"Paper (its table 1)": {"error m": 0.25}}
    )
    cases: Sequence[str] = ("a", "b/c", "d", "e", "f")
    broken: tuple[str, ...] = ()
    looked_at: list[str] = field(default_factory=list)
    brightness: int = 0

    def frames(self, case: str) -> Sequence[Frame]:
        self.looked_at.append(case)
        if case in self.broken:
            raise BrokenFrameError(f"{case}.jpg is missing")
        return [frame(place, brightness=self.brightness) for place in (0, 1)]

    def score(self, frames: Sequence[Frame], answer: Answer) -> Mapping[str, float]:
        pose = answer.world_from_camera[1]
        if pose is None:
            return {"found %": 0.0, "error m": float("nan")}
        return {"found %": 100.0, "error m": abs(pose[0, 3] - frames[1].world_from_camera[0, 3])}

    def failure(self, frames: Sequence[Frame]) -> Mapping[str, float]:
        return {"found %": 0.0, "error m": float("nan")}


@dataclass
class Off:
    """Says that the second camera is too far to the right by this much."""

    error: float = 0.0
    name: str = "off"
    calls: int = 0

    @property
    def settings(self) -> Mapping[str, str | int | float | None]:
        return {"error": self.error}

    def __call__(self, photos: Sequence[np.ndarray]) -> Answer:
        self.calls += 1
        answer = truth([frame(place) for place in range(len(photos))])
        moved = np.array(answer.world_from_camera[1])
        moved[0, 3] += self.error
        return Answer([answer.world_from_camera[0], moved], answer.intrinsics, answer.dense)


@dataclass
class Fails:
    """Fails on every case from a given one on."""

    first: int = 0
    error: BaseException = field(default_factory=lambda: RuntimeError("out of luck"))
    name: str = "fails"
    settings: Mapping[str, str | int | float | None] = field(default_factory=dict)
    calls: int = 0

    def __call__(self, photos: Sequence[np.ndarray]) -> Answer:
        self.calls += 1
        if self.calls > self.first:
            raise self.error
        return truth([frame(place) for place in range(len(photos))])
