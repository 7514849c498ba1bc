"""How far a scene may be from the truth, as told by the passes that it was fused from."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Calibration:
    """How many times larger errors are than the differences between passes.

    Passes of one network share its prejudices, so they agree better with each other than with the
    truth.
    """

    rotation: float
    """Of a camera."""

    centre: float
    """Of a camera."""

    focal: float
    """Of a camera."""

    depth: float
    """Of a pixel."""

    source: str
    """What the factors were measured on."""


BUNDLED = Calibration(
    rotation=0.7,
    centre=0.78,
    focal=4.3,
    depth=2.3,
    source="bundled weights, 4 passes, 20 held-out procedural scenes of 10 views",
)
"""Ratios of medians, from `benchmarks/ensembles.py`; other weights have others."""

SPREAD = Calibration(1.0, 1.0, 1.0, 1.0, source="none: the difference between passes itself")
"""For who calibrates by themselves."""


@dataclass(frozen=True)
class CameraUncertainty:
    """Probable errors of a camera: half of all errors were smaller where they were calibrated."""

    rotation_deg: float | None
    """Angle by which the camera may be turned; None where fewer than two passes placed it."""

    centre: float | None
    """Distance by which it may be misplaced, in world units."""

    focal_px: float | None
    """Of the focal length, in pixels of the original photo."""

    placed: int
    """Passes that found a pose."""

    agreeing: int
    """Those of them that the camera is the mean of; the others were too far off."""


@dataclass(frozen=True)
class Uncertainty:
    """What several passes say of a scene that was fused from them."""

    passes: int
    """Passes that were run."""

    aligned: int
    """Passes that agree on the scene as a whole; the others were left out."""

    calibration: Calibration
    """What the differences between passes were multiplied by."""

    cameras: list[CameraUncertainty | None]
    """One a view; None where the view has no camera."""

    depth: list[Float[Tensor, "_height _width"]]
    """Probable error of the depth of each pixel, in world units, given the camera; nan where fewer
    than two passes tell its depth."""

    def rescaled(self, factor: float) -> "Uncertainty":
        """Return the same in units of the world of which so many make one of the present."""
        return replace(
            self,
            cameras=[_rescaled(camera, factor) for camera in self.cameras],
            depth=[depth * factor for depth in self.depth],
        )

    def of(self, views: Sequence[int]) -> "Uncertainty":
        """Return what is said of some of the views, in this order."""
        return replace(
            self,
            cameras=[self.cameras[i] for i in views],
            depth=[self.depth[i] for i in views],
        )

    def before(self, depth: Sequence[Tensor]) -> "Uncertainty":
        """Return the same with nothing said of more views, of these depth maps, behind its own."""
        return replace(
            self,
            cameras=[*self.cameras, *[None] * len(depth)],
            depth=[*self.depth, *(torch.full_like(each, torch.nan) for each in depth)],
        )

    def without(self, views: Collection[int]) -> "Uncertainty":
        """Return the same with nothing said of some views, whose cameras come from elsewhere."""
        return replace(
            self,
            cameras=[None if i in views else camera for i, camera in enumerate(self.cameras)],
            depth=[
                torch.full_like(depth, torch.nan) if i in views else depth
                for i, depth in enumerate(self.depth)
            ],
        )


def _rescaled(camera: CameraUncertainty | None, factor: float) -> CameraUncertainty | None:
    if camera is None or camera.centre is None:
        return camera
    return replace(camera, centre=camera.centre * factor)
