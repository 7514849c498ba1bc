"""One scene out of chunks whose place in the world is known, written to disk as it grows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.geometry.transforms import Similarity, nearest_rotation, rotation_angle_deg
from fast3r.models.prediction import Pointmap
from fast3r.scene.mapped import in_file
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.views.view import SkippedPhoto, View

# A camera that is turned further than this from the surest one of its view is left out of the mean.
_AGREEING_DEG = 20.0


@dataclass(frozen=True)
class Placed:
    """A view as one chunk sees it, in the world of all."""

    chunk: int
    """Index of the chunk."""

    weight: float
    """How much the chunk is to be trusted about the view."""

    camera: Camera
    """In the world."""


class Assembly:
    """Grows a scene chunk by chunk; its tensors are mapped, so that they take no memory."""

    def __init__(self, num_views: int, folder: Path) -> None:
        """Start a scene of so many views, whose files go into a folder."""
        self._folder = folder
        self._num_views = num_views
        self._views: dict[int, View] = {}
        self._cameras: dict[int, Camera | None] = {}
        self._depth: dict[int, Tensor] = {}
        self._confidence: dict[int, Tensor] = {}
        self._pointmaps: dict[int, Pointmap] = {}
        self._failures: dict[int, str | None] = {}

    def add(
        self,
        name: str,
        scene: Reconstruction,
        entries: Mapping[int, int],
        cameras: Mapping[int, Camera],
        failures: Mapping[int, str],
    ) -> None:
        """Take views over from a chunk that was moved to the world.

        Args:
            name: Of the chunk, for its files.
            scene: The chunk; depth of views without a camera does not count.
            entries: Index of each view to take, and its place in the chunk.
            cameras: Of those that have one.
            failures: Why the others have none.
        """
        groups: dict[tuple[int, int], dict[int, int]] = {}
        for index, place in entries.items():
            size = (scene.views[place].height, scene.views[place].width)
            groups.setdefault(size, {})[index] = place
        for (height, width), group in groups.items():
            depth = {
                i: scene.depth[p] if i in cameras else torch.zeros_like(scene.depth[p])
                for i, p in group.items()
            }
            self._put(f"{name}-{height}x{width}", scene, group, depth)
        for index in entries:
            self._cameras[index] = cameras.get(index)
            self._failures[index] = failures.get(index)

    def finished(self, skipped: list[SkippedPhoto]) -> Reconstruction:
        """Return the scene, to which every view was added."""
        order = range(self._num_views)
        return Reconstruction(
            views=[self._views[i] for i in order],
            cameras=[self._cameras[i] for i in order],
            depth=[self._depth[i] for i in order],
            confidence=[self._confidence[i] for i in order],
            failures=[self._failures[i] for i in order],
            skipped=skipped,
            scale=Scale(),
            world_pointmaps=[self._pointmaps[i] for i in order] if self._pointmaps else None,
        )

    def _put(
        self,
        label: str,
        scene: Reconstruction,
        entries: Mapping[int, int],
        depth: Mapping[int, Tensor],
    ) -> None:
        """Take over what views of one size show, a file for each kind of tensor."""
        views = {i: scene.views[p] for i, p in entries.items()}
        masks = {i: view.mask for i, view in views.items() if view.mask is not None}
        confidence = {i: scene.confidence[p] for i, p in entries.items()}
        self._depth |= self._kept(f"{label}-depth", depth)
        self._confidence |= self._kept(f"{label}-confidence", confidence)
        pixels = self._kept(f"{label}-pixels", {i: view.pixels for i, view in views.items()})
        masks = self._kept(f"{label}-masks", masks)
        for i, view in views.items():
            self._views[i] = replace(view, pixels=pixels[i], mask=masks.get(i))
        if scene.world_pointmaps is not None:
            maps = {i: scene.world_pointmaps[p] for i, p in entries.items()}
            points = self._kept(f"{label}-world", {i: each.points for i, each in maps.items()})
            confidence = {i: each.confidence for i, each in maps.items()}
            confidence = self._kept(f"{label}-world-confidence", confidence)
            self._pointmaps |= {i: Pointmap(points[i], confidence[i]) for i in maps}

    def _kept(self, name: str, tensors: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """Write tensors to one file, as a process can only map some ten thousand; return them."""
        if not tensors:
            return {}
        mapped = in_file(self._folder / name, torch.stack(list(tensors.values())))
        return dict(zip(tensors, mapped, strict=True))


def moved(camera: Camera, target_from_world: Similarity) -> Camera:
    """Return a camera in another world."""
    pose = target_from_world.moved_pose(camera.world_from_camera.double())
    return replace(camera, world_from_camera=pose)


def blended(placed: Sequence[Placed]) -> Camera:
    """Return the mean camera of a view over the chunks that place it, by their weights."""
    surest = owner(placed)
    turns = torch.stack([p.camera.world_from_camera[:3, :3] for p in placed])
    centres = torch.stack([p.camera.world_from_camera[:3, 3] for p in placed])
    agrees = rotation_angle_deg(turns, surest.camera.world_from_camera[:3, :3]) < _AGREEING_DEG
    weights = torch.tensor([p.weight for p in placed], dtype=torch.float64) * agrees
    weights = weights / weights.sum()
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = nearest_rotation((weights[:, None, None] * turns).sum(dim=0))
    pose[:3, 3] = (weights[:, None] * centres).sum(dim=0)
    return replace(surest.camera, world_from_camera=pose.float())


def owner(placed: Sequence[Placed]) -> Placed:
    """Return the chunk that is to be trusted most about a view."""
    return max(placed, key=lambda p: p.weight)
