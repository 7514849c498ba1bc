"""A reconstructed scene: what `reconstruct` returns and every writer and viewer takes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from fast3r.geometry.cameras import Camera, intrinsics_through, pixels_through
from fast3r.geometry.lenses import photo_from_ideal
from fast3r.geometry.transforms import Similarity
from fast3r.models.prediction import Pointmap
from fast3r.scene.chunk_record import LongRecord
from fast3r.scene.ensemble.record import Uncertainty
from fast3r.scene.point_cloud import (
    Cloud,
    PointCloud,
    ViewClouds,
    concatenate,
    random_points,
    surest_per_voxel,
)
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.refinement.record import RefinementRecord
from fast3r.scene.staging import staging
from fast3r.scene.trusted_pixels import Trust, depth_slope
from fast3r.views.view import SkippedPhoto, View

if TYPE_CHECKING:
    from fast3r.models.fast3r import Fast3R
    from fast3r.scene.living.adding import Addition
    from fast3r.scene.living.choosing import Photos
    from fast3r.scene.living.localizing import Localization
    from fast3r.scene.living.merging import Merged

Head = Literal["local", "world"]
"""Which head of the network a point comes from: through depth and camera, or directly."""


@dataclass(frozen=True)
class Scale:
    """What one unit of the world is."""

    kind: Literal["arbitrary", "metric"] = "arbitrary"
    """Metric means metres."""

    source: str = "network"
    """Where the scale came from."""


@dataclass(frozen=True)
class World:
    """What the axes of the world are."""

    axes: Literal["network", "known poses", "east north up", "gravity"] = "network"
    """Roughly those of the first camera; those of known poses; or with z pointing up, where under
    gravity alone the turn about it is arbitrary."""

    origin: tuple[float, float, float] | None = None
    """Latitude and longitude in degrees and altitude in metres (WGS 84) of where the axes meet;
    None where it is not known."""


@dataclass(frozen=True)
class Reconstruction:
    """Views, their cameras and their depth: points are derived, so all of it agrees.

    The lists run parallel: entry `i` belongs to `views[i]`. All tensors are on the CPU.
    """

    views: list[View]
    """The views used, in input order."""

    cameras: list[Camera | None]
    """None where no pose was found. Each has the lens of its view, whoever made it."""

    depth: list[Float[Tensor, "_height _width"]]
    """Distance along the camera's z axis at network size, in world units."""

    confidence: list[Float[Tensor, "_height _width"]]
    """At least 1 at network size."""

    failures: list[str | None]
    """Why a view has no camera; None where it has one."""

    skipped: list[SkippedPhoto]
    """Photos that could not be read."""

    scale: Scale
    """What one unit of the world is."""

    world_pointmaps: list[Pointmap] | None = None
    """Where the world head itself puts each pixel, at network size, and how sure it is of that.

    Only to compare with; None where `reconstruct` was not told to keep them.
    """

    world: World = World()
    """What the axes are."""

    prior_checks: list[PriorCheck] = field(default_factory=list)
    """How well the scene agrees with what was known of it."""

    refinement: RefinementRecord | None = None
    """What `fast3r.refine` did; None before."""

    long: LongRecord | None = None
    """How the chunks of a scene too large for one pass were made and joined; None for one pass."""

    uncertainty: Uncertainty | None = None
    """Probable errors, of a scene that was fused from several passes; None of others, and where
    cameras were changed since."""

    def __post_init__(self) -> None:
        parallel = (self.cameras, self.depth, self.confidence, self.failures)
        assert all(len(entries) == len(self.views) for entries in parallel)
        for view, depth, confidence in zip(self.views, self.depth, self.confidence, strict=True):
            assert depth.shape == confidence.shape == (view.height, view.width)
        for camera, failure in zip(self.cameras, self.failures, strict=True):
            assert (camera is None) == (failure is not None)
        object.__setattr__(self, "cameras", _behind_lenses(self.cameras, self.views))
        if self.uncertainty is not None:
            assert len(self.uncertainty.cameras) == len(self.views) == len(self.uncertainty.depth)
        if self.world_pointmaps is not None:
            for pointmap, depth in zip(self.world_pointmaps, self.depth, strict=True):
                assert pointmap.points.shape == (*depth.shape, 3)
                assert pointmap.confidence.shape == depth.shape

    def __repr__(self) -> str:
        return (
            f"Reconstruction({len(self.views)} views, {len(self.registered)} with cameras, "
            f"{self.scale.kind} scale)"
        )

    @property
    def registered(self) -> list[int]:
        """Indices of the views that have a camera."""
        return [i for i, camera in enumerate(self.cameras) if camera is not None]

    def posed_views(self) -> list[tuple[int, View, Camera]]:
        """Return every view that has a camera, with its index.

        Raises:
            ValueError: No view has one, so there is nothing to draw or to write.
        """
        triples = zip(range(len(self.views)), self.views, self.cameras, strict=True)
        posed = [(i, view, camera) for i, view, camera in triples if camera is not None]
        if not posed:
            reasons = [f"; {v.name}: {f}" for v, f in zip(self.views, self.failures, strict=True)]
            raise ValueError(
                f"none of the {len(self.views)} views has a camera, so the scene has no points"
                + "".join(reasons[:3])
            )
        return posed

    def camera(self, index: int) -> Camera:
        """Return the camera of a registered view.

        Raises:
            ValueError: It has none; the message says why.
        """
        camera = self.cameras[index]
        if camera is None:
            name, reason = self.views[index].name, self.failures[index]
            raise ValueError(f"{name} has no camera ({reason}); see Reconstruction.registered")
        return camera

    def network_intrinsics(self, index: int) -> Float[Tensor, "3 3"]:
        """Return the intrinsics of a registered view in pixels of its depth map."""
        network_from_original = self.views[index].network_from_original
        camera = self.camera(index)
        intrinsics = intrinsics_through(network_from_original, camera.intrinsics.double())
        return intrinsics.to(camera.intrinsics.dtype)

    def network_focal_px(self, index: int) -> float:
        """Return the mean focal length of a registered view in pixels of its depth map."""
        # The root of the determinant is that mean however the map turns the pixels.
        return self.network_intrinsics(index)[:2, :2].det().abs().sqrt().item()

    def valid(self, index: int) -> Bool[Tensor, "height width"]:
        """Return where the view saw the scene: inside its mask, with a finite positive depth."""
        depth, mask = self.depth[index], self.views[index].mask
        seen = depth.isfinite() & (depth > 0) & self.confidence[index].isfinite()
        return seen if mask is None else seen & mask

    def world_points(self, index: int) -> Float[Tensor, "height width 3"]:
        """Return where in the world each pixel of a registered view lies.

        Pixels without depth give points that mean nothing; `valid` tells which.
        """
        depth = self.depth[index]
        points = self._lifted(index, torch.arange(depth.numel()))
        return points.reshape(*depth.shape, 3).to(depth.dtype)

    def points_at(
        self, index: int, pixels: Int[Tensor, " points"], *, head: Head = "local"
    ) -> Float[Tensor, "points 3"]:
        """Return where in the world some pixels of a registered view lie.

        Args:
            index: Of the view.
            pixels: Counted row by row, from 0.
            head: "local" is what all else is made of: depth, lifted by the camera. "world" is what
                the world head says.

        Raises:
            ValueError: The view has no camera, or the pointmaps of the world head were not kept.
        """
        if head == "local":
            return self._lifted(index, pixels.long()).float()
        self.camera(index)
        return self._world_pointmap(index).points.flatten(0, 1)[pixels.long()]

    def confidence_of(self, index: int, *, head: Head = "local") -> Float[Tensor, "height width"]:
        """Return how sure a head is of each pixel of a view.

        Raises:
            ValueError: The pointmaps of the world head were not kept.
        """
        return self.confidence[index] if head == "local" else self._world_pointmap(index).confidence

    def original_pixels(
        self, index: int, pixels: Int[Tensor, " points"]
    ) -> Float[Tensor, "points 2"]:
        """Return where pixels of a view, counted row by row, lie in its original photo."""
        return photo_from_ideal(self._ideal_pixels(index, pixels), self.views[index].lens)

    def slant_deg(self, index: int) -> Float[Tensor, "height width"]:
        """Return how far each surface of a registered view is turned away from its camera.

        Flying points, which hang between an object and what is behind it, look edge-on (90).
        """
        return depth_slope(self.depth[index], self.network_focal_px(index)).atan().rad2deg()

    def view_clouds(
        self,
        *,
        min_confidence: float | None = None,
        min_conf_percentile: float = 30.0,
        max_slant_deg: float = 85.0,
        margin: int = 1,
    ) -> ViewClouds:
        """Return the points of `point_cloud`, to be gone through view by view.

        Each view's cloud is made when it is asked for, so that not all have to fit in memory.
        `point_cloud` tells the options.

        Raises:
            ValueError: No view has a camera, or an option is out of range.
        """
        trust = Trust(min_confidence, min_conf_percentile, max_slant_deg, margin)
        indices = [i for i, _, _ in self.posed_views()]
        return ViewClouds(indices, lambda i: trust.pixels(self, i), self._view_cloud)

    def point_cloud(
        self,
        *,
        min_confidence: float | None = None,
        min_conf_percentile: float = 30.0,
        max_slant_deg: float = 85.0,
        margin: int = 1,
        voxel: float | None = None,
        max_points: int | None = None,
        seed: int = 0,
    ) -> PointCloud:
        """Return the points of all registered views that can be trusted.

        Takes 50 bytes of memory for each pixel of the scene; `view_clouds` does not, nor do
        `max_points` and `voxel`, which need what is left twice.

        Args:
            min_confidence: Least confidence of a point, the same for all views.
            min_conf_percentile: The share of each view's pixels, in percent, that is left out
                for low confidence. The default keeps the surest 70 %, since confidences of
                different photos are hard to compare and skies and reflections rank lowest.
            margin: Leaves out this many network pixels along the border of each view, where the
                convolutions of the network see its padding and are wrongly sure.
            max_slant_deg: Leaves out surfaces turned further away from the camera than this,
                and with them the flying points that hang between an object and what is behind
                it: a jump of depth looks like a surface seen edge-on. 90 keeps all.
            voxel: Side, in world units, of cubes of which only the surest point is kept.
            max_points: At most so many, drawn at random.
            seed: Makes the draw repeatable.

        Raises:
            ValueError: No view has a camera, or an option is out of range.
        """
        cloud: Cloud = self.view_clouds(
            min_confidence=min_confidence,
            min_conf_percentile=min_conf_percentile,
            max_slant_deg=max_slant_deg,
            margin=margin,
        )
        if voxel is not None:
            cloud = surest_per_voxel(cloud, voxel)
        if max_points is not None:
            cloud = random_points(cloud, max_points, seed=seed)
        return cloud if isinstance(cloud, PointCloud) else concatenate(list(cloud))

    def transformed(
        self, target_from_world: Similarity, *, scale: Scale | None = None
    ) -> "Reconstruction":
        """Return the same scene in another world frame.

        Args:
            target_from_world: Where each point of the world goes.
            scale: What one unit of the new world is. Without it a map that does not resize
                keeps what is known, and one that does makes the scale arbitrary.
        """
        factor = float(target_from_world.scale)
        if scale is None:
            scale = self.scale if factor == 1 else Scale("arbitrary", "a similarity transform")
        cameras = [None if c is None else _moved(c, target_from_world) for c in self.cameras]
        depth = [depth * factor for depth in self.depth]
        pointmaps = self.world_pointmaps
        if pointmaps is not None:
            pointmaps = [_moved_points(pointmap, target_from_world) for pointmap in pointmaps]
        return replace(
            self,
            cameras=cameras,
            depth=depth,
            scale=scale,
            world_pointmaps=pointmaps,
            world=World(),
            uncertainty=self.uncertainty and self.uncertainty.rescaled(factor),
        )

    def save(self, path: str | Path) -> None:
        """Write the whole scene as one `.npz`; `Reconstruction.load` gives it back bit by bit."""
        # The archive names this class, so it can only be imported once this module is complete.
        from fast3r.scene.archive import write_archive

        path = Path(path)
        with staging(path.parent) as stage:
            write_archive(self, stage / path.name)

    @staticmethod
    def load(path: str | Path) -> "Reconstruction":
        """Return the scene that `save` wrote.

        Raises:
            ValueError: The file is damaged, no fast3r scene, or from a newer version.
            OSError: The file cannot be read.
        """
        from fast3r.scene.archive import read_archive

        return read_archive(Path(path))

    def localize(self, photos: "Photos", model: "Fast3R", **options: Any) -> "list[Localization]":
        """Return where photos were taken; the scene stays as it is.

        `fast3r.scene.living.localizing.localize` tells the options.
        """
        from fast3r.scene.living.localizing import localize

        return localize(self, photos, model, **options)

    def add(self, photos: "Photos", model: "Fast3R", **options: Any) -> "Addition":
        """Return the scene with more photos, and what became of each; what stands stays bit by bit.

        `fast3r.scene.living.adding.add` tells the options.
        """
        from fast3r.scene.living.adding import add

        return add(self, photos, model, **options)

    def remove(self, views: str | int | Sequence[str | int]) -> "Reconstruction":
        """Return the scene without some views, by name or index; the others stay bit by bit.

        Raises:
            ValueError: There is no such view, or none would be left.
        """
        from fast3r.scene.living.removing import remove

        return remove(self, views)

    def merge(
        self, other: "Reconstruction", model: "Fast3R | None" = None, **options: Any
    ) -> "Merged":
        """Return this scene and another one as one, and how they were brought together.

        `fast3r.scene.living.merging.merge` tells the options.
        """
        from fast3r.scene.living.merging import merge

        return merge(self, other, model, **options)

    def aligned(self, **options: Any) -> "Reconstruction":
        """Return the scene with z up, in metres, or about another origin.

        `fast3r.scene.living.aligning.align_scene` tells the options.
        """
        from fast3r.scene.living.aligning import align_scene

        return align_scene(self, **options)

    def refine(self, **options: Any) -> "Reconstruction":
        """Return the scene with exact cameras; `fast3r.refine` tells the options."""
        from fast3r.scene.refinement.refine import refine

        return refine(self, **options)

    def _world_pointmap(self, index: int) -> Pointmap:
        if self.world_pointmaps is None:
            raise ValueError(
                "the points of the world head were not kept; reconstruct with keep_world=True"
            )
        return self.world_pointmaps[index]

    def _lifted(self, index: int, pixels: Int64[Tensor, " points"]) -> Float[Tensor, "points 3"]:
        """Return world points of network pixels, in float64.

        The rays are those of the original photo, so that each point projects onto its pixel.
        """
        depth = self.depth[index].flatten()[pixels].double()
        return self.camera(index).lifted(self._ideal_pixels(index, pixels), depth)

    def _ideal_pixels(
        self, index: int, pixels: Int[Tensor, " points"]
    ) -> Float[Tensor, "points 2"]:
        """Return the same as `original_pixels`, before the lens bends them."""
        view = self.views[index]
        row, column = pixels // view.width, pixels % view.width
        network = torch.stack((column, row), dim=-1).double() + 0.5
        return pixels_through(view.original_from_network.double(), network)

    def _view_cloud(self, index: int, keep: Bool[Tensor, "height width"]) -> PointCloud:
        pixels = keep.flatten().nonzero()[:, 0]
        return PointCloud(
            points=self._lifted(index, pixels).float(),
            colors=self.views[index].pixels[keep],
            confidence=self.confidence[index][keep].float(),
            view_index=torch.full((len(pixels),), index),
            pixel=self.original_pixels(index, pixels).float(),
        )


def _behind_lenses(cameras: list[Camera | None], views: list[View]) -> list[Camera | None]:
    return [
        camera if camera is None or camera.lens == view.lens else replace(camera, lens=view.lens)
        for camera, view in zip(cameras, views, strict=True)
    ]


def _moved(camera: Camera, target_from_world: Similarity) -> Camera:
    pose = target_from_world.moved_pose(camera.world_from_camera.to(target_from_world.rotation))
    return replace(camera, world_from_camera=pose.to(camera.world_from_camera))


def _moved_points(pointmap: Pointmap, target_from_world: Similarity) -> Pointmap:
    moved = target_from_world(pointmap.points.flatten(0, 1).to(target_from_world.rotation))
    return replace(pointmap, points=moved.to(pointmap.points).view_as(pointmap.points))
