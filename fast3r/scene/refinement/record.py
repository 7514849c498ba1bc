"""What refinement did to each view: kept with the scene and written into the report."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["refined", "placed", "kept", "unplaced"]


@dataclass(frozen=True)
class ViewRefinement:
    """What became of one view."""

    outcome: Outcome
    """Refined: its camera is the adjusted one. Placed: the same, and it had none before. Kept: its
    camera is still the network's. Unplaced: it has no camera."""

    reason: str | None
    """Why the camera was not refined; None where it was."""

    part: int | None
    """Which part of the scene its new camera belongs to, 0 the largest. Matches tie the cameras of
    a part together; how parts lie to each other is only what the network says."""

    points: int
    """Sparse points that the view sees."""

    before_px: float | None
    """Median reprojection error of its matches with the network's cameras, in working pixels; None
    where there was no camera or no match."""

    after_px: float | None
    """The same with the cameras of the refined scene."""

    turned_deg: float | None
    """Angle between the camera's orientation before and after."""

    moved: float | None
    """Distance between its positions before and after, in world units."""

    depth_factor: float | None
    """What the depth map was multiplied by (its median, if by more than one number)."""

    depth_error: float | None
    """Median relative difference between the depth map and the sparse points, after."""

    distortion: float | None
    """First radial coefficient (COLMAP's SIMPLE_RADIAL), that a pinhole camera leaves out."""

    distortion_px: float | None
    """How far that lens moves the corner of the photo, in its original pixels."""


@dataclass(frozen=True)
class RefinementRecord:
    """How a scene was refined, and how well."""

    mapping: Literal["global", "incremental"] | None
    """What made the cameras; None where the matches gave none and nothing was changed."""

    intrinsics: Literal["shared", "own"] | None
    """Whether photos of one camera and size share theirs."""

    pairs: int
    """Pairs of views with verified matches."""

    matches: int
    """Verified matches of all pairs."""

    points: int
    """Sparse points after bundle adjustment."""

    explained_before: float
    """Share of the matches that agree with the network's cameras, no pair counting for more than a
    hundred; matches of views without a camera do not agree."""

    explained_after: float
    """The same with the cameras of the refined scene."""

    before_px: float | None
    """Median reprojection error of all verified matches with the network's cameras, in working
    pixels: those of the photos as they were searched for features."""

    after_px: float | None
    """The same with the cameras of the refined scene."""

    views: list[ViewRefinement]
    """Runs parallel to the views of the scene."""

    @property
    def refined(self) -> int:
        """Number of views whose camera is the adjusted one."""
        return sum(view.part is not None for view in self.views)

    @property
    def parts(self) -> int:
        """Number of parts that those views form."""
        return len({view.part for view in self.views if view.part is not None})
