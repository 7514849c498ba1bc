"""A scene with more photos: what stands stays as it is, bit by bit."""

import math
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fast3r.models.fast3r import Fast3R
from fast3r.scene.living.choosing import Photos, References, photos_as_views
from fast3r.scene.living.localizing import MAX_REFERENCES, Evidence
from fast3r.scene.living.matched import MatchedCamera, Matcher
from fast3r.scene.living.placing import Newcomers, PassOptions, place_beside
from fast3r.scene.living.removing import appended, subset
from fast3r.scene.living.sameness import pixel_key, shared_photos
from fast3r.scene.machine import Precision
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.record import ViewRefinement
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import View


@dataclass(frozen=True, kw_only=True)
class AddedPhoto(Evidence):
    """What became of one photo."""

    name: str
    """Of the photo."""

    outcome: Literal["placed", "unplaced", "left out"]
    """Placed: it has a camera and depth. Unplaced: it joined the views, without a camera. Left out:
    it did not, since the scene has it already or has another photo of its name."""


@dataclass(frozen=True)
class Addition:
    """A scene with more photos."""

    scene: Reconstruction
    """What stood, and behind it the new views in the order in which they were given."""

    photos: list[AddedPhoto]
    """What became of each photo, in the same order."""

    @property
    def placed(self) -> list[str]:
        """Names of the photos that have a camera now."""
        return [photo.name for photo in self.photos if photo.outcome == "placed"]


def add(
    scene: Reconstruction,
    photos: Photos,
    model: Fast3R,
    *,
    references: Sequence[str | int] | None = None,
    max_references: int = MAX_REFERENCES,
    photos_at_once: int = 8,
    exact: bool = False,
    seed: int = 0,
    size: int | None = None,
    precision: Literal["auto"] | Precision = "auto",
    recorder: StageRecorder | None = None,
) -> Addition:
    """Return the scene with more photos, found in passes over some of them and of its views.

    Cameras and depth that stand do not change, nor do world, scale and what is known of them. The
    photos most like the scene go first, and may be references for the others.

    A pass takes `photos_at_once` new photos. With `exact`, features tell the cameras where they
    can, and depth is what the network says, brought to their points. All other arguments are those
    of `localize`.

    Raises:
        ValueError: There is no photo, the scene has no camera, or an option is wrong.
        ImportError: `exact` needs pycolmap, which is not installed.
    """
    if photos_at_once < 1:
        raise ValueError(f"photos_at_once must be at least 1, got {photos_at_once}")
    views = photos_as_views(photos, model, size)
    chooser = References(scene, model, count=max_references, size=size, fixed=references)
    options = PassOptions(seed, size, precision)
    matcher = Matcher(scene, seed=seed, recorder=recorder) if exact else None
    outcomes = _left_out(scene, views)
    grown, order = scene, []
    for group in _groups(views, outcomes, chooser, photos_at_once):
        new = [views[index] for index in group]
        placed = place_beside(grown, chooser.of(new), new, model, options, recorder)
        matches = [
            None if matcher is None else matcher.place(view, chooser.of([view])) for view in new
        ]
        placed = _with_exact_cameras(placed, matches)
        for place, (index, matched) in enumerate(zip(group, matches, strict=True)):
            outcomes[index] = _outcome(grown, placed, place, matched)
        records = [_record(grown, placed.scene, k, matched) for k, matched in enumerate(matches)]
        grown = chooser.scene = appended(grown, placed.scene, records)
        if matcher is not None:
            matcher.scene = grown
        order += group
    standing = len(scene.views)
    given = sorted(range(len(order)), key=order.__getitem__)
    grown = subset(grown, [*range(standing), *(standing + place for place in given)])
    skipped = [*scene.skipped, *views.skipped]
    return Addition(replace(grown, skipped=skipped), [outcomes[i] for i in range(len(views))])


def _outcome(
    scene: Reconstruction, placed: Newcomers, place: int, matched: MatchedCamera | None
) -> AddedPhoto:
    reason = placed.scene.failures[place]
    references = placed.references if matched is None else matched.references
    return AddedPhoto(
        name=placed.scene.views[place].name,
        outcome="placed" if reason is None else "unplaced",
        reason=reason,
        references=[scene.views[index].name for index in references],
        joint=placed.joint,
        confirmed=placed.confirmed[place],
        matches=0 if matched is None else len(matched.points),
    )


def _with_exact_cameras(placed: Newcomers, matches: Sequence[MatchedCamera | None]) -> Newcomers:
    """Return new photos of which some have other cameras, and depth that goes with these."""
    cameras, failures = list(placed.scene.cameras), list(placed.scene.failures)
    depth = list(placed.scene.depth)
    for place, matched in enumerate(matches):
        if matched is None:
            continue
        factor = matched.depth_factor(placed.scene.views[place], depth[place])
        # A camera, but no points, where the network gave no depth.
        depth[place] = depth[place] * (0.0 if factor is None else factor)
        cameras[place], failures[place] = matched.camera, None
    scene = replace(placed.scene, cameras=cameras, failures=failures, depth=depth)
    return replace(placed, scene=scene)


def _record(
    scene: Reconstruction, new: Reconstruction, place: int, matched: MatchedCamera | None
) -> ViewRefinement:
    """Return what the record of refinement says of a view that joined later."""
    part = None
    if matched is not None and scene.refinement is not None:
        parts = [scene.refinement.views[index].part for index in matched.references]
        part = next((part for part in parts if part is not None), None)
    late = "it joined the scene after refinement"
    return ViewRefinement(
        outcome="placed" if matched else "kept" if new.failures[place] is None else "unplaced",
        reason=None if matched else late,
        part=part,
        points=0 if matched is None else len(matched.points),
        before_px=None,
        after_px=None,
        turned_deg=None,
        moved=None,
        depth_factor=None,
        depth_error=None,
        distortion=None,
        distortion_px=None,
    )


def _left_out(scene: Reconstruction, views: Sequence[View]) -> dict[int, AddedPhoto]:
    """Return the photos that are there already, and those whose name is another one's."""
    outcomes: dict[int, AddedPhoto] = {}

    def leave_out(index: int, reason: str) -> None:
        name = views[index].name
        outcomes[index] = AddedPhoto(
            name=name,
            outcome="left out",
            reason=reason,
            references=[],
            joint=None,
            confirmed=math.nan,
        )

    for index, standing in shared_photos(views, scene.views):
        leave_out(index, f"the scene has this photo already, as {scene.views[standing].name}")
    names = {view.name for view in scene.views}
    first: dict[Hashable, int] = {}
    for index, view in enumerate(views):
        same = first.setdefault(pixel_key(view), index)
        if index in outcomes:
            continue
        if same != index:
            leave_out(index, f"it is the same photo as {views[same].name}")
        elif view.name in names:
            leave_out(index, "the scene has another photo of this name; rename one of them")
        else:
            names.add(view.name)
    return outcomes


def _groups(
    views: Sequence[View], left_out: Collection[int], chooser: References, at_once: int
) -> Iterator[list[int]]:
    """Yield the photos to be placed, those most like the scene first."""
    rest = [index for index in range(len(views)) if index not in left_out]
    if len(rest) <= at_once:
        yield from [rest] if rest else []
        return
    best = chooser.likeness_of([views[i] for i in rest]).amax(dim=1).tolist()
    ordered = [index for _, index in sorted(zip(best, rest, strict=True), key=lambda p: -p[0])]
    for start in range(0, len(ordered), at_once):
        yield ordered[start : start + at_once]
