"""What is known of cameras in the world to be, as residuals of a similarity."""

import math
from dataclasses import dataclass

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

    photo_from_image: Float[Tensor, "cameras 3 3"]
    """The turn about the line of sight from the upright image to the photo's own camera frame."""

    @classmethod
    def unknown(cls, count: int) -> "Targets":
        """Return so many of which nothing is known."""
        nan = torch.full((count, 3, 3), torch.nan, dtype=torch.float64)
        one = torch.ones(count, 3, dtype=torch.float64)
        return cls(
            centres=nan[:, 0].clone(),
            centre_sigma=one,
            rotations=nan,
            rotation_sigma_rad=one[:, 0].clone(),
            down=nan[:, 0].clone(),
            down_sigma_rad=1.0,
            level=torch.zeros(count, dtype=torch.bool),
            photo_from_image=torch.eye(3, dtype=torch.float64).expand(count, 3, 3),
        )

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
    # The world's z component of each axis of the upright image.
    right, below, ahead = (rotations @ targets.photo_from_image)[:, 2].unbind(-1)
    roll = right / math.radians(_LEVEL_SIGMA_DEG)
    aim = ahead / math.radians(_AIM_SIGMA_DEG)
    upside = below.clamp(min=0) / _HEAD_UP_SIGMA
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
