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
        turns = {i: network_from_photo_camera(views[i]).double().mT for i in poses}
        turn_sigmas_deg = [_REFINED_TURN_DEG if i in exact else SCENE_TURN_DEG for i in poses]
        place_sigmas = [_REFINED_PLACE if i in exact else SCENE_PLACE for i in poses]
        none = torch.zeros(0, 4, 4, dtype=torch.float64)
        stacked = torch.cat((none, *(pose.double()[None] for pose in poses.values())))
        return cls(
            indices=list(poses),
            names=[views[i].name for i in poses],
            centres=stacked[:, :3, 3],
            rotations=stacked[:, :3, :3],
            photo_from_image=torch.cat((none, *(turn[None] for turn in turns.values())))[:, :3, :3],
            turn_sigma_deg=torch.tensor(turn_sigmas_deg, dtype=torch.float64),
            place_sigma=torch.tensor(place_sigmas, dtype=torch.float64),
        )


def found_in(scene: Reconstruction) -> FoundCameras:
    """Return the cameras of a scene.

    Those of parts that only the network ties to the largest are no more exact than the network's.
    """
    poses = {index: scene.camera(index).world_from_camera for index in scene.registered}
    record = scene.refinement
    exact = [] if record is None else [i for i, view in enumerate(record.views) if view.part == 0]
    return FoundCameras.of(scene.views, poses, exact=exact)


def spread(points: Float[Tensor, "points axes"]) -> float:
    """Return the root mean square distance of points from their mean, in known coordinates."""
    known = points.nan_to_num(0)
    return (known - known.mean(dim=0)).square().sum(dim=-1).mean().sqrt().item()
