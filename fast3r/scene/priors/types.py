"""What users may know: cameras, poses, places, gravity, rigs, distances and depth.

Views are named as in the scene, by their path relative to the input folder. Where a mapping asks
for names it also takes patterns (`left/*`, or `*` for all), of which an exact name goes first, and
a sequence is taken in the order of the views. Pixels are those of the original photo, upright, with
centres at +0.5; poses have OpenCV axes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, TypeVar

from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.lenses import Lens

_T = TypeVar("_T")

PerView = Mapping[str, _T] | Sequence[_T]
"""By name or pattern, or one for each view in their order."""


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera without distortion."""

    focal_px: float | tuple[float, float]
    """Focal length, or that along x and along y."""

    principal_point: tuple[float, float] | None = None
    """Where the optical axis meets the photo; None: its centre."""

    size: tuple[int, int] | None = None
    """Width and height of the photo that these pixels are of; None: the original photo."""


@dataclass(frozen=True)
class Poses:
    """Where some cameras stood, in a world of the user's own."""

    world_from_camera: PerView[Float[Tensor, "4 4"]]
    """Rigid poses; some views may have none."""

    metric: bool = False
    """Whether the unit of the positions is the metre."""

    position_sigma: float = 0.0
    """Standard deviation along each axis, in units of the positions. With 0 here and below, the
    poses are kept exactly; otherwise the scene's own pose counts by its weight."""

    rotation_sigma_deg: float = 0.0
    """Standard deviation of the orientations."""

    @property
    def are_exact(self) -> bool:
        """Whether the poses are kept as they are."""
        return self.position_sigma == self.rotation_sigma_deg == 0


@dataclass(frozen=True)
class Gps:
    """Where some cameras stood on the Earth (WGS 84)."""

    positions: PerView[tuple[float, float, float]] | Literal["exif"] = "exif"
    """Latitude and longitude in degrees and altitude in metres, nan where it is not known; or what
    EXIF tells of each view."""

    horizontal_sigma_m: float = 3.0
    """Standard deviation along each axis; that of phones under open sky."""

    vertical_sigma_m: float = 6.0
    """Standard deviation of the altitude."""

    @property
    def sigmas_m(self) -> tuple[float, float, float]:
        """Standard deviations along east, north and up."""
        return self.horizontal_sigma_m, self.horizontal_sigma_m, self.vertical_sigma_m


@dataclass(frozen=True)
class Gravity:
    """Which way is down."""

    down: PerView[tuple[float, float, float]] | Literal["upright"] = "upright"
    """Direction of gravity in the camera frame, of any length: (0, 1, 0) for a level camera; or
    photos that were taken upright, so that their rows are level."""

    sigma_deg: float = 2.0
    """Standard deviation of the directions."""


@dataclass(frozen=True)
class Rig:
    """Cameras that are fixed to each other, and the photos that they took at the same time."""

    rig_from_camera: Mapping[str, Float[Tensor, "4 4"]]
    """Where each camera sits, by a name for it."""

    frames: Sequence[Mapping[str, str]]
    """For each moment, the view that each camera took."""

    metric: bool = True
    """Whether the unit is the metre."""


@dataclass(frozen=True)
class Spot:
    """A point of the surface, by a pixel that sees it."""

    view: str
    """Its name."""

    pixel: tuple[float, float]
    """x and y in the original photo."""


@dataclass(frozen=True)
class Distance:
    """A length that was measured."""

    metres: float
    """How far apart the two are."""

    between: tuple[Spot | str, Spot | str]
    """Points of the surface, or names of views for the centres of their cameras."""

    relative_error: float = 0.02
    """Standard deviation of the measurement relative to it."""


@dataclass(frozen=True)
class DepthMaps:
    """Depth along the camera's z axis, from an RGB-D camera or LiDAR."""

    maps: Mapping[str, Path | Float[Tensor, "_rows _columns"]] | Path
    """In metres, 0 or nan where unknown, of the shape of the photo at any size; or 16-bit PNG,
    .npy or .npz files (the array `depth`); or a folder of such files named like the photos."""

    png_unit_m: float = 0.001
    """Metres that a value of 1 in a PNG stands for."""

    relative_error: float = 0.02
    """Standard deviation of the scale of one map."""


@dataclass(frozen=True)
class Priors:
    """Any subset of what can be known."""

    intrinsics: PerView[Intrinsics | Lens] | Literal["exif"] | None = None
    """Of some or all views, or by what EXIF tells of the focal length. A lens must have been known
    when its view was loaded, see `lenses`."""

    poses: Poses | None = None
    """Of some or all views: they become the world."""

    gps: Gps | None = None
    """Makes the world east, north, up, in metres."""

    gravity: Gravity | None = None
    """Makes the world's z axis point up."""

    rigs: Sequence[Rig] = ()
    """Each frame of a rig becomes rigid."""

    distances: Sequence[Distance] = ()
    """Make the scale metric."""

    depth: DepthMaps | None = None
    """Make the scale metric."""

    other_photos: bool = False
    """Whether names may be of photos that are not among the views, as in a model of more photos."""

    @property
    def lenses(self) -> dict[str, Lens]:
        """The lenses that bend straight lines, for `fast3r.load_views`, by name or pattern.

        Raises:
            ValueError: They have no names, which the order of the views does not give beforehand.
        """
        if self.intrinsics is None or self.intrinsics == "exif":
            return {}
        assert not isinstance(self.intrinsics, str)
        if isinstance(self.intrinsics, Mapping):
            named = self.intrinsics.items()
            return {n: e for n, e in named if isinstance(e, Lens) and not e.is_pinhole}
        if any(isinstance(e, Lens) and not e.is_pinhole for e in self.intrinsics):
            raise ValueError("lenses must be given by name or pattern, not in the order of views")
        return {}

    def joined(self, other: "Priors") -> "Priors":
        """Return both together.

        Raises:
            ValueError: Both tell of the same.
        """
        changes: dict[str, object] = {}
        for name in (f.name for f in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if name in ("rigs", "distances"):
                changes[name] = (*mine, *theirs)
            elif name == "other_photos":
                changes[name] = mine or theirs
            elif mine is not None and theirs is not None:
                raise ValueError(f"{name} are given twice; leave one of the two out")
            else:
                changes[name] = theirs if mine is None else mine
        return replace(self, **changes)  # pyright: ignore[reportArgumentType]
