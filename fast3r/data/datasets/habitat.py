"""Habitat: renderings of scanned and modelled indoor scenes (Savva et al., ICCV 2019)."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from fast3r.data.dataset import check_layout
from fast3r.data.datasets.cameras import from_integer_centres
from fast3r.data.frame import BrokenFrameError, Frame, checked_frame
from fast3r.data.reading import (
    read_depth_exr,
    read_image,
    read_json,
    read_lines,
)
from fast3r.data.sampling import draw_window

_LAYOUT = """
{index}                          a line a scene: <folder>/<number>
<folder>/<number>_1.jpeg         and so on to _5
<folder>/<number>_1_depth.exr    metres
<folder>/<number>_1_camera_params.json   camera_intrinsics, R_cam2world, t_cam2world
"""


@dataclass(frozen=True)
class Habitat:
    """Habitat as DUSt3R's `preprocess_habitat.py` renders it: five views a scene; metres.

    The first view of a scene overlaps with each of the others, which need not overlap with one
    another.
    """

    root: Path
    """Folder of the renderings."""

    split: Literal["train", "val"] = "train"
    """Which list of scenes to read."""

    listed: int = 1000
    """Number in the name of the list of scenes: `Habitat_<listed>_scenes_<split>.txt`."""

    def __post_init__(self) -> None:
        check_layout(
            self.root,
            self._index.is_file(),
            dataset="Habitat after DUSt3R's preprocess_habitat.py and find_scenes.py",
            expected=_LAYOUT.format(index=self._index.name),
        )
        if not self.scenes:
            raise ValueError(f"{self._index} lists no scenes; run find_scenes.py again")

    @cached_property
    def scenes(self) -> tuple[str, ...]:
        """The scenes as `folder/number`, sorted."""
        return tuple(sorted(line for line in read_lines(self._index) if line))

    def frames(self, scene: str) -> list[str]:
        """Return the names of a scene's five views."""
        return ["1", "2", "3", "4", "5"]

    def draw(self, scene: str, views: int, dice: np.random.Generator) -> list[str]:
        """Return the first view, then others in random order.

        Equal dice give equal views. The others repeat, evenly, where more than five are asked for.
        """
        first, *others = self.frames(scene)
        places = draw_window(len(others), views, dice, window=len(others))
        return [first] + [others[place] for place in places[: views - 1]]

    def read(self, scene: str, frame: str) -> Frame:
        """Return one view at its stored size.

        Raises:
            BrokenFrameError: It cannot be used. A few poses of Habitat are not finite.
        """
        camera_path = self.root / f"{scene}_{frame}_camera_params.json"
        intrinsics, pose = _read_camera(camera_path)
        return checked_frame(
            name=frame,
            image=read_image(self.root / f"{scene}_{frame}.jpeg"),
            depth=read_depth_exr(self.root / f"{scene}_{frame}_depth.exr"),
            intrinsics=from_integer_centres(intrinsics),
            world_from_camera=pose,
            source=camera_path,
        )

    @property
    def _index(self) -> Path:
        return self.root / f"Habitat_{self.listed}_scenes_{self.split}.txt"


def _read_camera(path: Path) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]:
    """Return intrinsics as stored, and the pose."""
    camera = read_json(path)
    pose = np.eye(4)
    try:
        intrinsics = np.array(camera["camera_intrinsics"], dtype=np.float64).reshape(3, 3)
        pose[:3, :3] = np.array(camera["R_cam2world"], dtype=np.float64).reshape(3, 3)
        pose[:3, 3] = np.array(camera["t_cam2world"], dtype=np.float64).reshape(3)
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise BrokenFrameError(
            f"{path}: {error!r}; expected camera_intrinsics, R_cam2world and t_cam2world"
        ) from error
    return intrinsics, pose
