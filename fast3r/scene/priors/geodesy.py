"""From latitude and longitude to a local frame in metres (WGS 84)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

_SEMI_MAJOR_M = 6378137.0
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY_SQUARED = _FLATTENING * (2 - _FLATTENING)


def east_north_up(
    geographic: Float[Tensor, "points 3"], origin: tuple[float, float, float]
) -> Float[Tensor, "points 3"]:
    """Return positions in metres in the frame that touches the ellipsoid at an origin.

    Args:
        geographic: Latitude and longitude in degrees, altitude in metres; float64.
        origin: The same of the origin.
    """
    centre = _earth_centred(torch.tensor([origin], dtype=torch.float64))
    latitude, longitude = math.radians(origin[0]), math.radians(origin[1])
    east = (-math.sin(longitude), math.cos(longitude), 0.0)
    up = (
        math.cos(latitude) * math.cos(longitude),
        math.cos(latitude) * math.sin(longitude),
        math.sin(latitude),
    )
    axes = torch.tensor([east, up], dtype=torch.float64)
    north = torch.linalg.cross(axes[1], axes[0])
    rotation = torch.stack((axes[0], north, axes[1]))
    return (_earth_centred(geographic.to(torch.float64)) - centre) @ rotation.mT


def _earth_centred(geographic: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
    latitude, longitude = geographic[:, :2].deg2rad().unbind(-1)
    altitude = geographic[:, 2]
    curvature = _SEMI_MAJOR_M / (1 - _ECCENTRICITY_SQUARED * latitude.sin().square()).sqrt()
    return torch.stack(
        (
            (curvature + altitude) * latitude.cos() * longitude.cos(),
            (curvature + altitude) * latitude.cos() * longitude.sin(),
            (curvature * (1 - _ECCENTRICITY_SQUARED) + altitude) * latitude.sin(),
        ),
        dim=-1,
    )
