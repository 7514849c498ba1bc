"""Where a sparse model lies in the world of the scene that it refines."""

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.transforms import Similarity, nearest_rotation, rotation_angle_deg
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.photos import network_pixels
from fast3r.scene.refinement.sparse import SparseModel

_AGREEING_DEG = 20.0
"""Views whose network camera is turned further than this from the consensus do not count."""


def world_from_model(
    model: SparseModel, scene: Reconstruction, pitches: list[float]
) -> Similarity | None:
    """Return the similarity that brings a sparse model closest to the scene's own cameras.

    Rotation, scale and position are each the median of what single views say, so that views which
    the network got wrong do not bend it, and it is determined even where all stand in one place.
    None where the scene has no camera for any view of the model.

    Args:
        model: In a world of its own.
        scene: With the network's cameras and depth.
        pitches: Original pixels per working pixel of all views.
    """
    views = [index for index in model.cameras if scene.cameras[index] is not None]
    if not views:
        return None
    theirs = torch.stack([model.cameras[i].world_from_camera for i in views])
    ours = torch.stack([_pose(scene, i) for i in views])
    turns = ours[:, :3, :3] @ theirs[:, :3, :3].mT
    apart = rotation_angle_deg(turns[:, None], turns[None])
    central = apart.clamp(max=2 * _AGREEING_DEG).sum(dim=1).argmin()
    agreeing = apart[central] < _AGREEING_DEG
    rotation = nearest_rotation(turns[agreeing].mean(dim=0))
    scale = _scale(model, scene, views, pitches)
    offsets = ours[:, :3, 3] - scale * theirs[:, :3, 3] @ rotation.mT
    return Similarity(scale, rotation, offsets[agreeing].median(dim=0).values)


def depth_at(
    scene: Reconstruction, index: int, original: Float[Tensor, "points 2"]
) -> Float[Tensor, " points"]:
    """Return the network's depth at positions in a photo; nan where it has none."""
    column, row, known = network_pixels(scene.views[index], original)
    depth = scene.depth[index].double().where(scene.valid(index), torch.nan)[row, column]
    return depth.where(known, torch.nan)


def model_depth(model: SparseModel, index: int) -> Float[Tensor, " points"]:
    """Return the depth of the points that a view sees, in units of the model."""
    pose = model.cameras[index].world_from_camera
    return (model.sightings[index].points - pose[:3, 3]) @ pose[:3, 2]


def _scale(
    model: SparseModel, scene: Reconstruction, views: list[int], pitches: list[float]
) -> Float[Tensor, ""]:
    """Return world units per unit of the model: the median over views of what their depth says."""
    ratios = []
    for index in views:
        original = model.sightings[index].positions * pitches[index]
        ratio = depth_at(scene, index, original) / model_depth(model, index)
        ratios.append(ratio.where(ratio > 0, torch.nan).nanmedian())
    scale = torch.stack(ratios).nanmedian()
    return scale.where(scale.isfinite(), 1.0)


def _pose(scene: Reconstruction, index: int) -> Float[Tensor, "4 4"]:
    camera = scene.cameras[index]
    assert camera is not None
    return camera.world_from_camera.double()
