"""A reconstructed scene: what `reconstruct` returns and every writer and viewer takes."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.views.view import View


@dataclass(frozen=True)
class Scale:
    """What one unit of the world is."""

    kind: Literal["arbitrary", "metric"] = "arbitrary"
    """Metric means metres."""

    source: str = "network"
    """Where the scale came from."""


@dataclass(frozen=True)
class SkippedPhoto:
    """A photo that was left out before the network saw it."""

    name: str
    """Path relative to the input folder."""

    reason: str
    """Why, in words for the user."""


@dataclass(frozen=True)
class Reconstruction:
    """Views, their cameras and their depth: points are derived, so all of it agrees.

    The lists run parallel: entry `i` belongs to `views[i]`.
    """

    views: list[View]
    """The views used, in input order."""

    cameras: list[Camera | None]
    """None where no pose was found."""

    depth: list[Float[Tensor, "height width"]]
    """Distance along the camera's z axis at network size, in world units."""

    confidence: list[Float[Tensor, "height width"]]
    """At least 1 at network size."""

    failures: list[str | None]
    """Why a view has no camera; None where it has one."""

    skipped: list[SkippedPhoto]
    """Photos that could not be read."""

    scale: Scale
    """What one unit of the world is."""
