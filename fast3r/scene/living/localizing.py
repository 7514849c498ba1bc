"""Where photos were taken in a scene that stands and does not change."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fast3r.geometry.cameras import Camera
from fast3r.models.fast3r import Fast3R
from fast3r.scene.joining import Joint
from fast3r.scene.living.choosing import Photos, References, photos_as_views
from fast3r.scene.living.matched import MatchedCamera, Matcher
from fast3r.scene.living.placing import Newcomers, PassOptions, place_beside
from fast3r.scene.machine import Precision
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import View

MAX_REFERENCES = 8
"""Views of the scene that the network sees beside new photos."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """On what the place of a photo rests."""

    reason: str | None
    """Why it has none; None where it has."""

    references: list[str]
    """Names of the views that the photo was compared with, those most like it first."""

    joint: Joint | None
    """How well what the network sees there agrees with the scene, in the references; None where it
    was not asked."""

    confirmed: float
    """Share of what the photo shows of the scene that lies where the scene has it, to a tenth of
    the depth; nan where nothing tells."""

    matches: int = 0
    """Points of the scene that an exact camera rests on; 0 for one by the network."""


@dataclass(frozen=True, kw_only=True)
class Localization(Evidence):
    """Where one photo was taken."""

    view: View
    """The photo, as the network saw it."""

    camera: Camera | None
    """In pixels of the original photo and in the world of the scene; None where none was found."""

    def __str__(self) -> str:
        """Say it in a line."""
        found = f"no place ({self.reason})" if self.camera is None else "found"
        told = f"{self.matches} matches"
        if self.joint is not None:
            told = f"{self.joint.inlier_ratio:.0%} of their points agree"
        return f"{self.view.name}: {found}; {len(self.references)} references, {told}"


def localize(
    scene: Reconstruction,
    photos: Photos,
    model: Fast3R,
    *,
    references: Sequence[str | int] | None = None,
    max_references: int = MAX_REFERENCES,
    exact: bool = False,
    seed: int = 0,
    size: int | None = None,
    precision: Literal["auto"] | Precision = "auto",
    recorder: StageRecorder | None = None,
) -> list[Localization]:
    """Return where each photo was taken, each found by itself, in a pass over it and some views.

    Args:
        scene: With cameras; it may come from another model, or from refinement.
        photos: Views, or what `fast3r.load_views` reads.
        model: From `fast3r.load_model`.
        references: Names or indices of the views to compare with; by default those most like the
            photo by what the encoder makes of their patches.
        max_references: At most so many are chosen.
        exact: First look for the camera that features shared with the references tell, as exact as
            theirs; for scenes with exact cameras, as from refinement. Where they tell none, the
            network is asked.
        seed: Equal seeds give equal results.
        size: Long side in pixels at which the network sees the photos; by default what it was
            trained for.
        precision: Number format of the transformer.
        recorder: Measures the stages and tells of progress.

    Raises:
        ValueError: There is no photo, the scene has no camera, or an option is wrong.
        ImportError: `exact` needs pycolmap, which is not installed.
    """
    matcher = Matcher(scene, seed=seed, recorder=recorder) if exact else None
    views = photos_as_views(photos, model, size)
    chooser = References(scene, model, count=max_references, size=size, fixed=references)
    options = PassOptions(seed, size, precision)
    found = []
    for view in views:
        beside = chooser.of([view])
        matched = None if matcher is None else matcher.place(view, beside)
        if matched is None:
            placed = place_beside(scene, beside, [view], model, options, recorder)
            found.append(_by_network(scene, placed))
        else:
            found.append(_by_matches(scene, view, matched))
    return found


def _by_matches(scene: Reconstruction, view: View, matched: MatchedCamera) -> Localization:
    return Localization(
        view=view,
        camera=matched.camera,
        reason=None,
        references=[scene.views[i].name for i in matched.references],
        joint=None,
        confirmed=math.nan,
        matches=len(matched.points),
    )


def _by_network(scene: Reconstruction, placed: Newcomers) -> Localization:
    return Localization(
        view=placed.scene.views[0],
        camera=placed.scene.cameras[0],
        reason=placed.scene.failures[0],
        references=[scene.views[i].name for i in placed.references],
        joint=placed.joint,
        confirmed=placed.confirmed[0],
    )
