"""Where a sparse model lies in the world of the scene that it refines."""

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import Similarity, similarity_between_poses
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.photos import network_pixels
from fast3r.scene.refinement.sparse import SparseModel


def world_from_model(
    model: SparseModel, scene: Reconstruction, pitches: list[float]
) -> Similarity | None:
    """Return the similarity that brings a sparse model closest to the scene's own cameras.

    Rotation, scale and position are each what most single views say, so that views which the
    network got wrong do not bend it, and it is determined even where all stand in one place.
    None where the scene has no camera for any view of the model.

    Args:
        model: In a world of its own.
        scene: With the network's cameras and depth.
        pitches: Original pixels per working pixel of all views.
    """
    cameras = {i: camera for i in model.cameras if (camera := scene.cameras[i]) is not None}
    if not cameras:
        return None
    theirs = torch.stack([model.cameras[i].world_from_camera for i in cameras])
    ours = torch.stack([camera.world_from_camera.double() for camera in cameras.values()])
    return similarity_between_poses(theirs, ours, _scale(model, scene, list(cameras), pitches))


def depth_at(
    scene: Reconstruction, index: int, original: Float[Tensor, "points 2"]
) -> Float[Tensor, " points"]:
    """Return the network's depth at positions in a photo; nan where it has none."""
    column, row, known = network_pixels(scene.views[index], original)
    depth = scene.depth[index].double().where(scene.valid(index), torch.nan)[row, column]
    return depth.where(known, torch.nan)


def _scale(
    model: SparseModel, scene: Reconstruction, views: list[int], pitches: list[float]
) -> Float[Tensor, ""]:
    """Return world units per unit of the model: the median over views of what their depth says."""
    ratios = []
    for index in views:
        seen = model.sightings[index]
        found = depth_at(scene, index, seen.positions * pitches[index])
        ratio = found / seen.depth_from(model.cameras[index])
        ratios.append(ratio.where(ratio > 0, torch.nan).nanmedian())
    scale = torch.stack(ratios).nanmedian()
    return scale.where(scale.isfinite(), 1.0)
