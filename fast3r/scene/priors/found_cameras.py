"""Cameras that were found, by the network or by matches, and how exact they are."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.scene.reconstruction import Reconstruction
from fast3r.views.turning import network_from_photo_camera
from fast3r.views.view import View

SCENE_TURN_DEG = 3.0
"""Standard deviation of the rotations that one pass of the network finds."""

SCENE_PLACE = 0.05
"""Standard deviation of the places that it finds, relative to their spread."""

_REFINED_TURN_DEG, _REFINED_PLACE = 0.5, 0.01
"""The same of refined cameras that matches tie together."""


@dataclass(frozen=True)
class FoundCameras:
    """The cameras that were found, and how exact they are; in float64."""

    indices: list[int]
    """Of their views."""

    names: list[str]
    """Of their views."""

    centres: Float[Tensor, "cameras 3"]
    """Where they stand."""

    rotations: Float[Tensor, "cameras 3 3"]
    """How they stand: world_from_camera."""

    photo_from_image: Float[Tensor, "cameras 3 3"]
    """See `Targets`."""

    turn_sigma_deg: Float[Tensor, " cameras"]
    """Standard deviation of the rotations."""

    place_sigma: Float[Tensor, " cameras"]
    """Standard deviation of the places, relative to their spread."""

    @classmethod
    def of(
        cls,
        views: Sequence[View],
        poses: Mapping[int, Float[Tensor, "4 4"]],
        *,
        exact: Collection[int] = (),
    ) -> "FoundCameras":
        """Return cameras by the poses of some of the views.

        Args:
            views: All of them.
            poses: `world_from_camera` by index.
            exact: Those that matches tie together.
        """
        indices = list(poses)
        stacked = torch.zeros(0, 4, 4, dtype=torch.float64)
        turns = stacked
        if indices:
            stacked = torch.stack([poses[i].double() for i in indices])
            turns = torch.stack([network_from_photo_camera(views[i]).double().mT for i in indices])
        refined = torch.tensor([i in exact for i in indices], dtype=torch.bool)
        one = torch.ones(len(indices), dtype=torch.float64)
        return cls(
            indices,
            [views[i].name for i in indices],
            stacked[:, :3, 3],
            stacked[:, :3, :3],
            turns[:, :3, :3],
            (_REFINED_TURN_DEG * one).where(refined, SCENE_TURN_DEG * one),
            (_REFINED_PLACE * one).where(refined, SCENE_PLACE * one),
        )


def found_in(scene: Reconstruction) -> FoundCameras:
    """Return the cameras of a scene.

    Those of parts that only the network ties to the largest are no more exact than the network's.
    """
    cameras = {index: camera for index, camera in enumerate(scene.cameras) if camera is not None}
    poses = {index: camera.world_from_camera for index, camera in cameras.items()}
    record = scene.refinement
    exact = [] if record is None else [i for i, view in enumerate(record.views) if view.part == 0]
    return FoundCameras.of(scene.views, poses, exact=exact)
