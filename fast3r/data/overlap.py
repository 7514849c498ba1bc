"""Which frames of a scene see the same surface, told by their cameras and coarse depth."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from fast3r.data.frame import BrokenFrameError, is_pinhole, is_rigid

_GRID_ROWS, _GRID_COLUMNS = 24, 32
"""Samples of a coarse depth map: enough for shares of surface, in 3 kB a frame."""

_STRIDE = 2
"""Of these samples, one in so many along each axis is looked for in other frames."""

_MIN_SHARE = 0.25
"""Frames overlap where one sees this share of the surface that the other one sees."""

_MAX_ZOOM = 3.0
"""What is so many times nearer or farther looks too different to be matched."""

_OCCLUDED = 0.9
"""A point is hidden behind a surface at less than this share of its depth."""

_MAX_CHECKED = 32
"""Depth maps are read of so many frames at most to learn the neighbours of one."""


@dataclass(frozen=True)
class Pinhole:
    """Where a photo was taken."""

    height: int
    """Rows of the photo."""

    width: int
    """Columns of the photo."""

    intrinsics: Float[np.ndarray, "3 3"]
    """In pixels of the photo; pixel centres at +0.5."""

    world_from_camera: Float[np.ndarray, "4 4"]
    """Rigid pose, OpenCV axes."""

    @property
    def possible(self) -> bool:
        """Whether the numbers can be those of a camera: a pose that is lost may be nan."""
        return is_pinhole(self.intrinsics) and is_rigid(self.world_from_camera)


class DepthOverlaps(Mapping[str, Sequence[str]]):
    """For each frame of a scene those that see part of the same surface, found when asked for.

    Points of the frame's depth map must lie inside the other photo, at similar distance, seen
    from less than 90 degrees apart and not behind what the depth map there shows. What was read
    is kept, coarsely, so that a scene costs one reading of its depth maps. Where a frame has very
    many neighbours, some of them are told: the same ones whenever it is asked.
    """

    def __init__(
        self,
        cameras: Mapping[str, Pinhole],
        read_depth: Callable[[str], Float32[np.ndarray, "_height _width"]],
    ) -> None:
        """Prepare to look for overlaps.

        Args:
            cameras: The camera of each frame that has a depth map; all of them `possible`.
            read_depth: Returns the depth map of a frame, of any size, 0 where unknown. What it
                raises, asking for the neighbours of the frame raises.
        """
        self._names = list(cameras)
        self._cameras = cameras
        self._read_depth = read_depth
        self._coarse: dict[str, Float32[np.ndarray, "rows columns"]] = {}
        self._rows: dict[str, list[str]] = {}
        told = list(cameras.values())
        self._world_from_camera = np.array([c.world_from_camera for c in told]).reshape(-1, 4, 4)
        self._intrinsics = np.array([camera.intrinsics for camera in told]).reshape(-1, 3, 3)
        self._sizes = np.array([(camera.width, camera.height) for camera in told]).reshape(-1, 2)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all frames, in the order they were given."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        """Return whether a frame has a camera, without looking for its neighbours."""
        return name in self._cameras

    def __getitem__(self, name: str) -> Sequence[str]:
        """Return the frames that overlap with one."""
        if name not in self._rows:
            self._rows[name] = self._neighbours(name)
        return self._rows[name]

    # A camera of absurd numbers sees nothing, which is no reason to warn.
    @np.errstate(all="ignore")
    def _neighbours(self, name: str) -> list[str]:
        points, own_depth = self._surface(name)
        if not len(points):
            return []
        pixels, depth = self._project(points)
        inside = ((pixels > 0) & (pixels < self._sizes[:, None])).all(-1)
        zoom = depth / own_depth
        inside &= (zoom > 1 / _MAX_ZOOM) & (zoom < _MAX_ZOOM)
        inside &= self._same_side(points, name)
        inside[self._names.index(name)] = False
        near = np.flatnonzero(inside.mean(1) >= _MIN_SHARE)
        # The order depends on the frame alone, so that all processes know the same neighbours.
        order = np.random.default_rng(self._names.index(name)).permutation(near)
        return [
            self._names[i]
            for i in sorted(order[:_MAX_CHECKED].tolist())
            if (inside[i] & ~self._hidden(i, pixels[i], depth[i])).mean() >= _MIN_SHARE
        ]

    def _surface(
        self, name: str
    ) -> tuple[Float[np.ndarray, "points 3"], Float[np.ndarray, " points"]]:
        """Return some points of the world that a frame sees, and their depth."""
        camera = self._cameras[name]
        depth = self._coarse_depth(name)[_STRIDE // 2 :: _STRIDE, _STRIDE // 2 :: _STRIDE]
        rows = (np.arange(_STRIDE // 2, _GRID_ROWS, _STRIDE) + 0.5) * camera.height / _GRID_ROWS
        columns = (np.arange(_STRIDE // 2, _GRID_COLUMNS, _STRIDE) + 0.5) * camera.width
        y, x = np.meshgrid(rows, columns / _GRID_COLUMNS, indexing="ij")
        known = depth > 0
        pixels = np.stack([x, y, np.ones_like(x)], -1)[known]
        in_camera = pixels @ np.linalg.inv(camera.intrinsics).T * depth[known][:, None]
        pose = camera.world_from_camera
        return in_camera @ pose[:3, :3].T + pose[:3, 3], depth[known].astype(np.float64)

    def _project(
        self, points: Float[np.ndarray, "points 3"]
    ) -> tuple[Float[np.ndarray, "frames points 2"], Float[np.ndarray, "frames points"]]:
        """Return where points land in every photo, and their depth there."""
        poses = self._world_from_camera
        moved = (points - poses[:, None, :3, 3]) @ poses[:, :3, :3]
        depth = moved[..., 2]
        scaled = moved / np.where(depth > 0, depth, np.nan)[..., None]
        return (scaled @ self._intrinsics.swapaxes(1, 2))[..., :2], depth

    def _same_side(
        self, points: Float[np.ndarray, "points 3"], name: str
    ) -> Bool[np.ndarray, "frames points"]:
        """Return which points every camera sees from less than 90 degrees away from this one."""
        centres = self._world_from_camera[:, :3, 3]
        to_own = self._cameras[name].world_from_camera[:3, 3] - points
        return centres @ to_own.T > (points * to_own).sum(1)

    def _hidden(
        self, index: int, pixels: Float[np.ndarray, "points 2"], depth: Float[np.ndarray, " points"]
    ) -> Bool[np.ndarray, " points"]:
        """Return which points lie behind the surface that a photo shows; all if it is broken."""
        try:
            coarse = self._coarse_depth(self._names[index])
        except BrokenFrameError:
            return np.ones(len(depth), bool)
        cells = np.nan_to_num(pixels / self._sizes[index]) * [_GRID_COLUMNS, _GRID_ROWS]
        column, row = cells.astype(int).clip(0, [_GRID_COLUMNS - 1, _GRID_ROWS - 1]).T
        surface = coarse[row, column]
        return (surface > 0) & (surface < _OCCLUDED * depth)

    def _coarse_depth(self, name: str) -> Float32[np.ndarray, "rows columns"]:
        if name not in self._coarse:
            depth = self._read_depth(name)
            rows = (np.arange(_GRID_ROWS) + 0.5) * depth.shape[0] / _GRID_ROWS
            columns = (np.arange(_GRID_COLUMNS) + 0.5) * depth.shape[1] / _GRID_COLUMNS
            self._coarse[name] = depth[rows.astype(int)[:, None], columns.astype(int)].copy()
        return self._coarse[name]
