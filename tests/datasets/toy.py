"""Scenes in memory whose photos tell by their colour which frame they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fast3r.data.frame import BrokenFrameError, Frame
from fast3r.data.sampling import draw_window


@dataclass(frozen=True)
class ToyScenes:
    """Walls at depth 2, a colour for each dataset and each frame."""

    number: int = 0
    frames_each: int = 12
    scenes: Sequence[str] = ("a", "b", "c")
    sizes: Sequence[tuple[int, int]] = ((48, 64),)
    broken: frozenset[tuple[str, str]] = frozenset()
    with_depth: bool = True
    origin: float = 0.0
    root: Path = field(default=Path("toy"))

    def frames(self, scene: str) -> list[str]:
        return [f"{scene}{i}" for i in range(self.frames_each)]

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        names = self.frames(scene)
        return [names[i] for i in draw_window(len(names), views, dice, window=views)]

    def read(self, scene: str, frame: str) -> Frame:
        if (scene, frame) in self.broken:
            raise BrokenFrameError(f"{frame}.png: torn; expected whole")
        place = self.frames(scene).index(frame)
        height, width = self.sizes[self.scenes.index(scene) % len(self.sizes)]
        image = np.empty((height, width, 3), np.uint8)
        image[:] = self.number, self.scenes.index(scene), place
        pose = np.eye(4)
        pose[:3, 3] = self.origin + 0.1 * place, 0, 0
        return Frame(
            name=frame,
            image=image,
            depth=np.full((height, width), 2, np.float32) if self.with_depth else None,
            intrinsics=np.array([[50.0, 0, width / 2], [0, 50, height / 2], [0, 0, 1]]),
            world_from_camera=pose,
        )
