"""Priors that were checked against the views they are of, by the index of the view."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.lenses import Lens
from fast3r.scene.priors.checks import (
    check_geographic,
    check_gps_spread,
    check_places,
    check_positive,
    original_matrix,
    rigid,
)
from fast3r.scene.priors.depth_maps import read_depth_maps
from fast3r.scene.priors.geodesy import east_north_up
from fast3r.scene.priors.types import Distance, Gps, Intrinsics, Priors, Rig, Spot
from fast3r.views.names import Names
from fast3r.views.view import View

Geographic = tuple[float, float, float]


@dataclass(frozen=True)
class BoundRig:
    """A rig, with its photos by index."""

    rig_from_camera: dict[str, Float[Tensor, "4 4"]]
    """In float64."""

    frames: list[dict[str, int]]
    """For each moment, the view that each camera took."""

    metric: bool
    """Whether the unit is the metre."""

    name: str
    """For messages."""

    @property
    def has_baselines(self) -> bool:
        """Whether its cameras are in different places, so that its unit matters."""
        places = torch.stack([pose[:3, 3] for pose in self.rig_from_camera.values()])
        return not torch.equal(places, places[:1].expand_as(places))


@dataclass(frozen=True)
class BoundDistance:
    """A length between two points, each a view with a pixel, or with None for its camera."""

    name: str
    """For messages."""

    metres: float
    """How long."""

    ends: tuple[tuple[int, tuple[float, float] | None], tuple[int, tuple[float, float] | None]]
    """Index of the view, and pixel of the original photo."""

    relative_error: float
    """Standard deviation."""


@dataclass(frozen=True)
class BoundPriors:
    """What is known of each view; matrices are in float64."""

    priors: Priors
    """As they were given."""

    intrinsics: dict[int, Float[Tensor, "3 3"]] = field(default_factory=dict)
    """In pixels of the original photo."""

    poses: dict[int, Float[Tensor, "4 4"]] = field(default_factory=dict)
    """In the user's world."""

    geographic: dict[int, Geographic] = field(default_factory=dict)
    """Latitude, longitude and altitude, nan where not known."""

    down: dict[int, Float[Tensor, " 3"]] = field(default_factory=dict)
    """Unit direction of gravity in the camera frame."""

    rigs: list[BoundRig] = field(default_factory=list)
    """Rigs."""

    distances: list[BoundDistance] = field(default_factory=list)
    """Measured lengths."""

    depth: dict[int, Float[Tensor, "_rows _columns"]] = field(default_factory=dict)
    """In metres, nan where unknown."""

    @property
    def exact_intrinsics(self) -> dict[int, Float[Tensor, "3 3"]]:
        """Those that matches cannot improve: all but what EXIF tells, in round numbers."""
        return {} if self.priors.intrinsics == "exif" else self.intrinsics


def bind(priors: Priors, views: Sequence[View]) -> BoundPriors:
    """Return priors by the index of their view.

    Raises:
        ValueError: A prior cannot be true, is of no view, or does not go with another one.
    """
    if priors.poses is not None and (priors.gps is not None or priors.gravity is not None):
        raise ValueError(
            "known poses fix the world, so gps or gravity cannot turn it; give the poses in that "
            "world, or leave one of the two out"
        )
    names = Names(views)
    lenient = priors.other_photos
    return BoundPriors(
        priors=priors,
        intrinsics=_intrinsics(priors, views, names),
        poses=_poses(priors, views, names),
        geographic={} if priors.gps is None else _geographic(priors.gps, views, names, lenient),
        down=_down(priors, views, names),
        rigs=[
            *(_rig(rig, names, f"rig {i + 1}") for i, rig in enumerate(priors.rigs)),
            *_panorama_rigs(views),
        ],
        distances=[_distance(d, views, names) for d in priors.distances],
        depth=(
            {}
            if priors.depth is None
            else read_depth_maps(priors.depth, views, other_photos=lenient)
        ),
    )


def _intrinsics(
    priors: Priors, views: Sequence[View], names: Names
) -> dict[int, Float[Tensor, "3 3"]]:
    """Return what is told, and what the way that views were made implies."""
    made = {i: view.known_intrinsics for i, view in enumerate(views)}
    implied = {i: matrix for i, matrix in made.items() if matrix is not None}
    known = priors.intrinsics
    if known is None:
        return implied
    if known == "exif":
        told = {i: view.exif_focal_px for i, view in enumerate(views)}
        entries = {i: Intrinsics(focal) for i, focal in told.items() if focal is not None}
        if not entries and not implied:
            raise ValueError(
                "no photo tells its focal length in EXIF; leave the intrinsics out, or give them"
            )
        what = "EXIF focal length"
    else:
        assert not isinstance(known, str)
        what = "intrinsics"
        entries = names.by_view(known, what=what, other_photos=priors.other_photos)
    given = {i: _matrix(entry, views[i], what) for i, entry in entries.items()}
    return given | implied


def _matrix(entry: Intrinsics | Lens, view: View, what: str) -> Float[Tensor, "3 3"]:
    """Return intrinsics in pixels of the photo, and make sure that its lens was made up for."""
    if isinstance(entry, Intrinsics):
        matrix, lens = original_matrix(entry, view, what=what), view.lens
    else:
        (fx, _, cx), (_, fy, cy), _ = entry.intrinsics.tolist()
        pinhole_part = Intrinsics((fx, fy), (cx, cy), (entry.width, entry.height))
        matrix = original_matrix(pinhole_part, view, what=what)
        lens = None if entry.is_pinhole else entry.scaled(view.original_width, view.original_height)
    if lens is not None and view.lens is None:
        raise ValueError(
            f"{what} of {view.name}: its lens ({lens.model}) bends straight lines, and the view "
            "was loaded as if it did not; load it with fast3r.load_views(..., lenses=priors.lenses)"
        )
    made = view.known_intrinsics
    if lens != view.lens or (made is not None and not torch.allclose(made, matrix, rtol=1e-4)):
        known = "a face of a panorama" if view.lens is None else f"through {view.lens}"
        raise ValueError(
            f"{what} of {view.name}: they are not those that it was loaded with, {known}; leave "
            "them out"
        )
    return matrix


def _poses(priors: Priors, views: Sequence[View], names: Names) -> dict[int, Float[Tensor, "4 4"]]:
    if priors.poses is None:
        return {}
    known = priors.poses
    for value in (known.position_sigma, known.rotation_sigma_deg):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"standard deviations of poses must not be negative, got {value}")
    entries = names.by_view(known.world_from_camera, what="poses", other_photos=priors.other_photos)
    poses = {i: rigid(entry, what=f"pose of {views[i].name}") for i, entry in entries.items()}
    check_places([pose[:3, 3] for pose in poses.values()], what="poses")
    return poses


def _geographic(
    gps: Gps, views: Sequence[View], names: Names, lenient: bool
) -> dict[int, Geographic]:
    check_positive(gps.horizontal_sigma_m, what="horizontal_sigma_m of gps")
    check_positive(gps.vertical_sigma_m, what="vertical_sigma_m of gps")
    if gps.positions == "exif":
        entries = {i: view.gps for i, view in enumerate(views) if view.gps is not None}
        if not entries:
            raise ValueError("no photo tells its place in EXIF; give positions, or leave gps out")
    else:
        assert not isinstance(gps.positions, str)
        entries = names.by_view(gps.positions, what="gps", other_photos=lenient)
    found = {
        i: check_geographic(entry, what=f"gps of {views[i].name}") for i, entry in entries.items()
    }
    if len(found) > 1 and len(set(found.values())) == 1:
        raise ValueError(
            f"gps: all {len(found)} views have the same position {next(iter(found.values()))}; "
            "they say nothing of axes and scale"
        )
    _check_spread(found, views)
    return found


def _check_spread(found: dict[int, Geographic], views: Sequence[View]) -> None:
    positions = torch.tensor([(p[0], p[1]) for p in found.values()], dtype=torch.float64)
    middle = positions.median(dim=0).values
    metres = torch.tensor([111_000.0, 111_000.0 * math.cos(math.radians(middle[0].item()))])
    offsets = (positions - middle) * metres
    swapped = (positions.flip(-1) - middle) * metres
    labels = [views[i].name for i in found]
    check_gps_spread(
        {n: (x, y) for n, (y, x) in zip(labels, offsets.tolist(), strict=True)},
        what="gps",
        known={n: math.hypot(x, y) for n, (y, x) in zip(labels, swapped.tolist(), strict=True)},
    )


def local_positions(
    geographic: dict[int, Geographic], *, swapped: bool = False
) -> tuple[dict[int, Float[Tensor, " 3"]], Geographic]:
    """Return positions in metres east, north and up of the first one, and where that is.

    An altitude that is not known is nan.

    Args:
        geographic: By view.
        swapped: Takes latitude for longitude, to see whether that fits better.
    """
    rows = [(p[1], p[0], p[2]) if swapped else p for p in geographic.values()]
    altitudes = sorted(p[2] for p in rows if math.isfinite(p[2]))
    ground = altitudes[len(altitudes) // 2] if altitudes else 0.0
    latitude, longitude, altitude = rows[0]
    origin = (latitude, longitude, altitude if math.isfinite(altitude) else ground)
    filled = [(p[0], p[1], p[2] if math.isfinite(p[2]) else ground) for p in rows]
    local = east_north_up(torch.tensor(filled, dtype=torch.float64), origin)
    lost = torch.tensor([math.isnan(p[2]) for p in rows])
    local[lost, 2] = torch.nan
    return dict(zip(geographic, local, strict=True)), origin


def _down(priors: Priors, views: Sequence[View], names: Names) -> dict[int, Float[Tensor, " 3"]]:
    if priors.gravity is None or priors.gravity.down == "upright":
        return {}
    gravity = priors.gravity
    check_positive(gravity.sigma_deg, what="sigma_deg of gravity")
    assert not isinstance(gravity.down, str)
    entries = names.by_view(gravity.down, what="gravity", other_photos=priors.other_photos)
    found = {}
    for index, entry in entries.items():
        direction = torch.tensor(entry, dtype=torch.float64)
        if direction.shape != (3,) or not direction.isfinite().all() or not direction.any():
            raise ValueError(
                f"gravity of {views[index].name}: expected a direction of 3 numbers in the camera "
                f"frame, (0, 1, 0) for a level camera, got {entry}"
            )
        found[index] = direction / direction.norm()
    return found


def _rig(rig: Rig, names: Names, what: str) -> BoundRig:
    cameras = {
        key: rigid(pose, what=f"{what}, camera {key}") for key, pose in rig.rig_from_camera.items()
    }
    if len(cameras) < 2 or not rig.frames:
        raise ValueError(
            f"{what}: expected at least 2 cameras and 1 frame, got {len(cameras)} and "
            f"{len(rig.frames)}"
        )
    frames: list[dict[str, int]] = []
    seen: set[int] = set()
    for frame in rig.frames:
        unknown = [key for key in frame if key not in cameras]
        if unknown:
            raise ValueError(f"{what}: camera {unknown[0]!r} is none of {', '.join(cameras)}")
        bound = {key: names.index(name, what=what) for key, name in frame.items()}
        twice = [key for key, index in bound.items() if index in seen]
        if twice or len(set(bound.values())) < len(bound):
            raise ValueError(f"{what}: {frame[(twice or list(bound))[0]]} is there twice")
        seen.update(bound.values())
        frames.append(bound)
    return BoundRig(cameras, frames, rig.metric, what)


def _panorama_rigs(views: Sequence[View]) -> list[BoundRig]:
    """Return panoramas as rigs of their faces, which have one centre."""
    faces: dict[str, dict[str, int]] = {}
    for index, view in enumerate(views):
        if view.face is not None:
            faces.setdefault(view.face.panorama, {})[view.name] = index
    rigs = []
    for panorama, frame in faces.items():
        cameras = {name: torch.eye(4, dtype=torch.float64) for name in frame}
        for name, index in frame.items():
            face = views[index].face
            assert face is not None
            cameras[name][:3, :3] = face.panorama_from_face
        rigs.append(BoundRig(cameras, [frame], metric=False, name=f"panorama {panorama}"))
    return rigs


def _distance(distance: Distance, views: Sequence[View], names: Names) -> BoundDistance:
    first, second = distance.between
    name = f"distance from {_said(first)} to {_said(second)}"
    check_positive(distance.metres, what=name)
    check_positive(distance.relative_error, what=f"relative_error of {name}")
    ends = _end(first, views, names, name), _end(second, views, names, name)
    if ends[0] == ends[1]:
        raise ValueError(f"{name}: both ends are the same")
    return BoundDistance(name, distance.metres, ends, distance.relative_error)


def _said(end: Spot | str) -> str:
    if isinstance(end, str):
        return f"the camera of {end}"
    return f"({end.pixel[0]:g}, {end.pixel[1]:g}) in {end.view}"


def _end(
    end: Spot | str, views: Sequence[View], names: Names, what: str
) -> tuple[int, tuple[float, float] | None]:
    if isinstance(end, str):
        return names.index(end, what=what), None
    index = names.index(end.view, what=what)
    view, (x, y) = views[index], end.pixel
    if not (0 <= x <= view.original_width and 0 <= y <= view.original_height):
        raise ValueError(
            f"{what}: pixel ({x:g}, {y:g}) lies outside {view.name}, which has "
            f"{view.original_width}x{view.original_height} px"
        )
    return index, end.pixel
