"""A sparse model in working pixels: cameras, points, and which view sees which point where."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import Similarity


@dataclass(frozen=True)
class SparseCamera:
    """One camera of a sparse model: COLMAP's SIMPLE_RADIAL, in working pixels."""

    focal_px: float
    """Of both axes; the optical axis meets the photo's centre."""

    distortion: float
    """First radial coefficient."""

    world_from_camera: Float[Tensor, "4 4"]
    """Rigid pose, in float64."""

    intrinsics: Float[Tensor, "3 3"] | None = None
    """Of a pinhole whose axes or centre are other than that, in working pixels and float64."""


@dataclass(frozen=True)
class Sightings:
    """The points that one view sees."""

    points: Float[Tensor, "points 3"]
    """In the world of the model, in float64."""

    positions: Float[Tensor, "points 2"]
    """Where they were seen, in working pixels."""

    def depth_from(self, camera: SparseCamera) -> Float[Tensor, " points"]:
        """Return how far the points are along the camera's z axis."""
        pose = camera.world_from_camera
        return (self.points - pose[:3, 3]) @ pose[:3, 2]


@dataclass(frozen=True)
class SparseModel:
    """Cameras and points of views that see the same things; its world is its own."""

    cameras: dict[int, SparseCamera]
    """By index of the view."""

    sightings: dict[int, Sightings]
    """By index of the view; the same views."""

    num_points: int
    """Points in all."""

    mapped: Any = None
    """pycolmap's Reconstruction that it was read from; it may have more views."""

    def only(self, views: Collection[int]) -> "SparseModel":
        """Return the model of some of its views."""
        cameras = {i: camera for i, camera in self.cameras.items() if i in views}
        return replace(self, cameras=cameras, sightings={i: self.sightings[i] for i in cameras})

    def moved(self, target_from_world: Similarity) -> "SparseModel":
        """Return the model in another world."""
        cameras = {
            i: replace(
                camera, world_from_camera=target_from_world.moved_pose(camera.world_from_camera)
            )
            for i, camera in self.cameras.items()
        }
        sightings = {
            i: replace(seen, points=target_from_world(seen.points))
            for i, seen in self.sightings.items()
        }
        return SparseModel(cameras, sightings, self.num_points)
