"""One scene out of chunks whose place in the world is known, written to disk as it grows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.geometry.transforms import Similarity, nearest_rotation, rotation_angle_deg
from fast3r.models.prediction import Pointmap
from fast3r.scene.mapped import MappedTensors
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
        self._mapped = MappedTensors(folder)
        self._views: list[View | None] = [None] * num_views
        self._cameras: list[Camera | None] = [None] * num_views
        self._depth: list[Tensor] = [torch.empty(0)] * num_views
        self._confidence: list[Tensor] = [torch.empty(0)] * num_views
        self._pointmaps: list[Pointmap | None] = [None] * num_views
        self._failures: list[str | None] = [None] * num_views

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
        groups: dict[tuple[int, int], list[int]] = {}
        for index, place in entries.items():
            size = (scene.views[place].height, scene.views[place].width)
            groups.setdefault(size, []).append(index)
        for (height, width), indices in groups.items():
            places = [entries[index] for index in indices]
            depth = [
                scene.depth[p] if i in cameras else torch.zeros_like(scene.depth[p])
                for i, p in zip(indices, places, strict=True)
            ]
            # One file for many views, as a process can only map some ten thousand.
            label = f"{name}-{height}x{width}"
            self._put(self._depth, indices, f"{label}-depth", depth)
            confidence = [scene.confidence[place] for place in places]
            self._put(self._confidence, indices, f"{label}-confidence", confidence)
            self._put_views(indices, label, [scene.views[place] for place in places])
            if scene.world_pointmaps is not None:
                self._put_pointmaps(indices, label, [scene.world_pointmaps[p] for p in places])
        for index in entries:
            self._cameras[index] = cameras.get(index)
            self._failures[index] = failures.get(index)

    def finished(self, skipped: list[SkippedPhoto]) -> Reconstruction:
        """Return the scene, to which every view was added."""
        views = [view for view in self._views if view is not None]
        pointmaps = [pointmap for pointmap in self._pointmaps if pointmap is not None]
        assert len(views) == len(self._views)
        return Reconstruction(
            views=views,
            cameras=self._cameras,
            depth=self._depth,
            confidence=self._confidence,
            failures=self._failures,
            skipped=skipped,
            scale=Scale(),
            world_pointmaps=pointmaps or None,
        )

    def _put(
        self, entries: list[Tensor], indices: Sequence[int], name: str, tensors: Sequence[Tensor]
    ) -> None:
        mapped = self._mapped.keep(name, torch.stack(list(tensors)))
        for index, tensor in zip(indices, mapped, strict=True):
            entries[index] = tensor

    def _put_views(self, indices: Sequence[int], label: str, views: Sequence[View]) -> None:
        pixels = self._mapped.keep(f"{label}-pixels", torch.stack([v.pixels for v in views]))
        masks = [view.mask for view in views]
        present = [mask for mask in masks if mask is not None]
        mapped = (
            iter(self._mapped.keep(f"{label}-masks", torch.stack(present))) if present else None
        )
        for index, view, kept, mask in zip(indices, views, pixels, masks, strict=True):
            kept_mask = None if mask is None or mapped is None else next(mapped)
            self._views[index] = replace(view, pixels=kept, mask=kept_mask)

    def _put_pointmaps(
        self, indices: Sequence[int], label: str, pointmaps: Sequence[Pointmap]
    ) -> None:
        points = torch.stack([pointmap.points for pointmap in pointmaps])
        confidence = torch.stack([pointmap.confidence for pointmap in pointmaps])
        points = self._mapped.keep(f"{label}-world", points)
        confidence = self._mapped.keep(f"{label}-world-confidence", confidence)
        for index, place, sure in zip(indices, points, confidence, strict=True):
            self._pointmaps[index] = Pointmap(place, sure)


def moved(camera: Camera, target_from_world: Similarity) -> Camera:
    """Return a camera in another world."""
    pose = camera.world_from_camera.double()
    there = pose.clone()
    there[:3, :3] = target_from_world.rotation @ pose[:3, :3]
    there[:3, 3] = target_from_world(pose[None, :3, 3])[0]
    return replace(camera, world_from_camera=there)


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
