"""What is known of cameras in the world to be, as residuals of a similarity."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fast3r.geometry.transforms import rotation_log

# A photographer holds the rows of a photo level to a few degrees, aims up or down by some more, and
# is seldom upside down. The aim decides only where all rows point the same way.
_LEVEL_SIGMA_DEG, _AIM_SIGMA_DEG, _HEAD_UP_SIGMA = 5.0, 25.0, 0.7


@dataclass(frozen=True)
class Targets:
    """What is known of each camera; nan where nothing is. All in float64."""

    centres: Float[Tensor, "cameras 3"]
    """Where it stands."""

    centre_sigma: Float[Tensor, "cameras 3"]
    """Standard deviation along each axis, the scene's own error included."""

    rotations: Float[Tensor, "cameras 3 3"]
    """How it stands: world_from_camera."""

    rotation_sigma_rad: Float[Tensor, " cameras"]
    """Standard deviation, the scene's own error included."""

    down: Float[Tensor, "cameras 3"]
    """Unit direction of gravity in the camera frame; the world's is -z."""

    down_sigma_rad: float
    """Standard deviation, the scene's own error included."""

    level: Bool[Tensor, " cameras"]
    """Whether the photo was taken upright, so that its rows are level."""

    photo_from_image: Float[Tensor, "cameras 3 3"] | None = None
    """The turn about the line of sight from the upright image to the photo's own camera frame; None
    where photos are stored upright."""

    @property
    def placed(self) -> Bool[Tensor, " cameras"]:
        """Where the place is known."""
        return self.centres.isfinite().all(dim=-1)

    @property
    def turned(self) -> Bool[Tensor, " cameras"]:
        """Where the whole rotation is known."""
        return self.rotations.isfinite().flatten(1).all(dim=-1)

    @property
    def hanging(self) -> Bool[Tensor, " cameras"]:
        """Where gravity is known."""
        return self.down.isfinite().all(dim=-1)

    def loosened(self, place: float, turn: float) -> "Targets":
        """Return the same with larger standard deviations, for a scene that is less exact."""
        return replace(
            self,
            centre_sigma=self.centre_sigma * place,
            rotation_sigma_rad=self.rotation_sigma_rad * turn,
        )


GROUPS = (3, 3, 3, 3)
"""Residuals of place, rotation, gravity and level of each camera."""


def residuals(
    targets: Targets,
    centres: Float[Tensor, "cameras 3"],
    rotations: Float[Tensor, "cameras 3 3"],
) -> Float[Tensor, "cameras 12"]:
    """Return the residuals of moved cameras in standard deviations; 0 where nothing is known."""
    place = (centres - targets.centres) / targets.centre_sigma
    # Of unknown rotations, any that is one; it does not count.
    wanted = rotations.detach().where(~targets.turned[:, None, None], targets.rotations)
    turn = rotation_log(rotations @ wanted.mT) / targets.rotation_sigma_rad[:, None]
    gravity = (rotations @ targets.down[..., None])[..., 0]
    fall = torch.stack((gravity[:, 0], gravity[:, 1], gravity[:, 2] + 1), dim=-1)
    if targets.photo_from_image is not None:
        rotations = rotations @ targets.photo_from_image
    roll = rotations[:, 2, 0] / math.radians(_LEVEL_SIGMA_DEG)
    aim = rotations[:, 2, 2] / math.radians(_AIM_SIGMA_DEG)
    # y points down: with the head up its world z is negative.
    upside = (rotations[:, 2, 1]).clamp(min=0) / _HEAD_UP_SIGMA
    level = torch.stack((roll, aim, upside), dim=-1)
    return torch.cat(
        (
            _known(place, targets.placed),
            _known(turn, targets.turned),
            _known(fall / targets.down_sigma_rad, targets.hanging),
            _known(level, targets.level),
        ),
        dim=-1,
    )


def _known(values: Float[Tensor, "cameras n"], known: Bool[Tensor, " cameras"]) -> Tensor:
    return values.where(known[:, None], 0).nan_to_num(0)
