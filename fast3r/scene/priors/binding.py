"""Priors that were checked against the views they are of, by the index of the view."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.lenses import Lens
from fast3r.scene.priors.checks import check_places, check_positive, original_matrix, rigid
from fast3r.scene.priors.depth_maps import read_depth_maps
from fast3r.scene.priors.distances import BoundDistance, bind_distance
from fast3r.scene.priors.gps import Geographic, bind_gps
from fast3r.scene.priors.rigs import BoundRig, bind_rig, panorama_rigs
from fast3r.scene.priors.types import Intrinsics, Priors
from fast3r.views.names import Names
from fast3r.views.view import View


@dataclass(frozen=True)
class BoundPriors:
    """What is known of each view; matrices are in float64."""

    priors: Priors
    """As they were given."""

    intrinsics: dict[int, Float[Tensor, "3 3"]]
    """In pixels of the original photo."""

    poses: dict[int, Float[Tensor, "4 4"]]
    """In the user's world."""

    geographic: dict[int, Geographic]
    """Latitude, longitude and altitude, nan where not known."""

    down: dict[int, Float[Tensor, " 3"]]
    """Unit direction of gravity in the camera frame."""

    rigs: list[BoundRig]
    """Rigs."""

    distances: list[BoundDistance]
    """Measured lengths."""

    depth: dict[int, Float[Tensor, "_rows _columns"]]
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
    names = Names(views, other_photos=priors.other_photos)
    gps, depth = priors.gps, priors.depth
    rigs = [bind_rig(rig, names, what=f"rig {i + 1}") for i, rig in enumerate(priors.rigs)]
    return BoundPriors(
        priors=priors,
        intrinsics=_intrinsics(priors, views, names),
        poses=_poses(priors, views, names),
        geographic={} if gps is None else bind_gps(gps, views, names),
        down=_down(priors, views, names),
        rigs=[*rigs, *panorama_rigs(views)],
        distances=[bind_distance(distance, views, names) for distance in priors.distances],
        depth={} if depth is None else read_depth_maps(depth, views, names),
    )


def _intrinsics(
    priors: Priors, views: Sequence[View], names: Names
) -> dict[int, Float[Tensor, "3 3"]]:
    """Return what is told, and what the way that views were made implies."""
    made = enumerate(view.known_intrinsics for view in views)
    implied = {i: matrix for i, matrix in made if matrix is not None}
    known = priors.intrinsics
    if known is None:
        return implied
    if known == "exif":
        told = enumerate(view.exif_focal_px for view in views)
        entries = {i: Intrinsics(focal) for i, focal in told if focal is not None}
        if not entries and not implied:
            raise ValueError(
                "no photo tells its focal length in EXIF; leave the intrinsics out, or give them"
            )
        what = "EXIF focal length"
    else:
        assert not isinstance(known, str)
        what = "intrinsics"
        entries = names.by_view(known, what=what)
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
    entries = names.by_view(known.world_from_camera, what="poses")
    poses = {i: rigid(entry, what=f"pose of {views[i].name}") for i, entry in entries.items()}
    check_places([pose[:3, 3] for pose in poses.values()], what="poses")
    return poses


def _down(priors: Priors, views: Sequence[View], names: Names) -> dict[int, Float[Tensor, " 3"]]:
    if priors.gravity is None or priors.gravity.down == "upright":
        return {}
    gravity = priors.gravity
    check_positive(gravity.sigma_deg, what="sigma_deg of gravity")
    assert not isinstance(gravity.down, str)
    entries = names.by_view(gravity.down, what="gravity")
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
