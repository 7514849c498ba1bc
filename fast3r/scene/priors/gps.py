"""Places on the Earth (WGS 84): checked, and in metres east, north and up of one of them."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.scene.priors.checks import check_positive
from fast3r.scene.priors.types import Gps
from fast3r.views.names import Names
from fast3r.views.view import View

Geographic = tuple[float, float, float]
"""Latitude and longitude in degrees and altitude in metres, nan where it is not known."""

UNKNOWN_ALTITUDE_M = 1e4
"""Standard deviation of an altitude that is not known."""

_MAX_SPREAD_M = 100e3
_METRES_PER_DEGREE = 111_000.0

_SEMI_MAJOR_M = 6378137.0
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY_SQUARED = _FLATTENING * (2 - _FLATTENING)


def bind_gps(gps: Gps, views: Sequence[View], names: Names) -> dict[int, Geographic]:
    """Return the places of views.

    Raises:
        ValueError: They cannot be places of one scene on the Earth, or are of no view.
    """
    check_positive(gps.horizontal_sigma_m, what="horizontal_sigma_m of gps")
    check_positive(gps.vertical_sigma_m, what="vertical_sigma_m of gps")
    if gps.positions == "exif":
        found = {i: view.gps for i, view in enumerate(views) if view.gps is not None}
        if not found:
            raise ValueError("no photo tells its place in EXIF; give positions, or leave gps out")
    else:
        assert not isinstance(gps.positions, str)
        found = names.by_view(gps.positions, what="gps")
    for index, position in found.items():
        _check_possible(position, what=f"gps of {views[index].name}")
    if len(found) > 1 and len(set(found.values())) == 1:
        raise ValueError(
            f"gps: all {len(found)} views have the same position {next(iter(found.values()))}; "
            "they say nothing of axes and scale"
        )
    _check_spread(found, views)
    return found


def _check_possible(position: Geographic, *, what: str) -> None:
    latitude, longitude, altitude = position
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise ValueError(f"{what}: latitude and longitude must be finite, got {position}")
    if abs(latitude) > 90 and abs(longitude) <= 90:
        raise ValueError(
            f"{what}: latitude {latitude} is beyond 90 degrees; are latitude and longitude swapped?"
        )
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise ValueError(
            f"{what}: ({latitude}, {longitude}) is no latitude and longitude in degrees; are they "
            "metres (UTM)? Give those as poses or subtract an offset"
        )
    if latitude == 0 and longitude == 0:
        raise ValueError(f"{what}: latitude and longitude are both 0, as of a receiver without fix")
    if math.isfinite(altitude) and not -1000 < altitude < 100_000:
        raise ValueError(f"{what}: an altitude of {altitude:g} m is beyond the Earth; feet or mm?")


def _check_spread(found: dict[int, Geographic], views: Sequence[View]) -> None:
    """Refuse a place that is too far from the others to be of one scene."""
    positions = torch.tensor([place[:2] for place in found.values()], dtype=torch.float64)
    middle = positions.median(dim=0).values
    metres = _METRES_PER_DEGREE * torch.stack(
        (torch.ones_like(middle[0]), middle[0].deg2rad().cos())
    )
    off_m = (positions - middle) * metres
    row = int(off_m.norm(dim=-1).argmax())
    far_m = off_m[row].norm().item()
    if far_m <= _MAX_SPREAD_M:
        return
    swapped_m = ((positions[row].flip(0) - middle) * metres).norm().item()
    hint = "its latitude and longitude are swapped" if swapped_m < _MAX_SPREAD_M else "a typo?"
    raise ValueError(
        f"gps: {views[list(found)[row]].name} is {far_m / 1000:.0f} km from the others, too far "
        f"for one scene; {hint}"
    )


def local_positions(
    geographic: dict[int, Geographic],
) -> tuple[dict[int, Float[Tensor, " 3"]], Geographic]:
    """Return positions in metres east, north and up of the first one, and where that is.

    An altitude that is not known is nan.
    """
    places = list(geographic.values())
    altitudes = sorted(altitude for _, _, altitude in places if math.isfinite(altitude))
    ground = altitudes[len(altitudes) // 2] if altitudes else 0.0
    filled = torch.tensor(places, dtype=torch.float64)
    unknown = ~filled[:, 2].isfinite()
    filled[unknown, 2] = ground
    latitude, longitude, altitude = filled[0].tolist()
    origin = (latitude, longitude, altitude)
    local = east_north_up(filled, origin)
    local[unknown, 2] = torch.nan
    return dict(zip(geographic, local, strict=True)), origin


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
