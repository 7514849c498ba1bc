"""A scene with more photos: what stands stays as it is, bit by bit."""

import math
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fast3r.models.fast3r import Fast3R
from fast3r.scene.joining import Joint
from fast3r.scene.living.choosing import Photos, References, photos_as_views
from fast3r.scene.living.localizing import MAX_REFERENCES
from fast3r.scene.living.matched import MatchedCamera, Matcher
from fast3r.scene.living.placing import Newcomers, PassOptions, place_beside
from fast3r.scene.living.removing import subset
from fast3r.scene.living.sameness import pixel_key, shared_photos
from fast3r.scene.machine import Precision
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.record import ViewRefinement
from fast3r.scene.stages import StageRecorder
from fast3r.views.view import View


@dataclass(frozen=True)
class AddedPhoto:
    """What became of one photo."""

    name: str
    """Of the photo."""

    outcome: Literal["placed", "unplaced", "left out"]
    """Placed: it has a camera and depth. Unplaced: it joined the views, without a camera. Left out:
    it did not, since the scene has it already or has another photo of its name."""

    reason: str | None
    """Why it was not placed; None where it was."""

    references: list[str]
    """Names of the views that it was compared with, of the scene or added before."""

    joint: Joint | None
    """How well what the network saw in its pass agrees with the scene; None where left out."""

    confirmed: float
    """Share of what the photo shows of the scene that lies where the scene has it, to a tenth of
    the depth; nan where nothing tells."""

    matches: int = 0
    """Points of the scene that an exact camera rests on; 0 for one by the network."""


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

    Args:
        scene: With cameras; it may come from another model, or from refinement.
        photos: Views, or what `fast3r.load_views` reads.
        model: From `fast3r.load_model`.
        references: Names or indices of the views to compare with; by default those most like the
            photos by what the encoder makes of their patches.
        max_references: At most so many are chosen for each pass.
        photos_at_once: New photos of a pass.
        exact: First look for the cameras that features shared with the references tell, as exact as
            theirs; for scenes with exact cameras, as from refinement. Depth is what the network
            says, brought to their points. Where they tell no camera, the network does.
        seed: Equal seeds give equal results.
        size: Long side in pixels at which the network sees the photos; by default what it was
            trained for.
        precision: Number format of the transformer.
        recorder: Measures the stages and tells of progress.

    Raises:
        ValueError: There is no photo, the scene has no camera, or an option is wrong.
        ImportError: `exact` needs pycolmap, which is not installed.
    """
    if photos_at_once < 1:
        raise ValueError(f"photos_at_once must be at least 1, got {photos_at_once}")
    views = photos_as_views(photos, model, size)
    chooser = References(scene, model, count=max_references, size=size, fixed=references)
    options = PassOptions(seed, size, precision)
    outcomes = _left_out(scene, views)
    matcher = Matcher(scene, seed=seed, recorder=recorder) if exact else None
    grown, order = scene, []
    for group in _groups(views, outcomes, chooser, photos_at_once):
        new = [views[index] for index in group]
        beside = chooser.of(new)
        placed = place_beside(grown, beside, new, model, options, recorder)
        exact_ones: dict[int, MatchedCamera] = {}
        if matcher is not None:
            matched = [matcher.place(view, chooser.of([view])) for view in new]
            exact_ones = {k: m for k, m in enumerate(matched) if m.camera is not None}
            placed = _with_exact_cameras(placed, exact_ones)
        for place, index in enumerate(group):
            outcomes[index] = _outcome(grown, placed, place, exact_ones.get(place))
        records = [_record(grown, placed.scene, k, exact_ones.get(k)) for k in range(len(new))]
        grown = appended(grown, placed.scene, records)
        order += group
        for looking in (chooser, *([] if matcher is None else [matcher])):
            looking.grown(grown)
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


def _with_exact_cameras(placed: Newcomers, exact_ones: Mapping[int, MatchedCamera]) -> Newcomers:
    """Return new photos of which some have other cameras, and depth that goes with these."""
    cameras, failures = list(placed.scene.cameras), list(placed.scene.failures)
    depth = list(placed.scene.depth)
    for place, matched in exact_ones.items():
        factor = matched.depth_factor(placed.scene.views[place], depth[place])
        # A camera, but no points, where the network gave no depth.
        depth[place] = depth[place] * (0.0 if factor is None else factor)
        cameras[place], failures[place] = matched.camera, None
    scene = replace(placed.scene, cameras=cameras, failures=failures, depth=depth)
    return replace(placed, scene=scene)


def appended(
    scene: Reconstruction, new: Reconstruction, records: Sequence[ViewRefinement] = ()
) -> Reconstruction:
    """Return a scene with the views of another one in the same world behind its own.

    Args:
        scene: What is known of it stays known.
        new: Its views, cameras and points alone.
        records: What to say of the new views in the scene's record of refinement, if it has one.
    """
    record, maps = scene.refinement, scene.world_pointmaps
    if record is not None:
        record = replace(record, views=[*record.views, *records])
    if maps is not None:
        maps = None if new.world_pointmaps is None else [*maps, *new.world_pointmaps]
    return replace(
        scene,
        views=[*scene.views, *new.views],
        cameras=[*scene.cameras, *new.cameras],
        depth=[*scene.depth, *new.depth],
        confidence=[*scene.confidence, *new.confidence],
        failures=[*scene.failures, *new.failures],
        world_pointmaps=maps,
        refinement=record,
        uncertainty=scene.uncertainty and scene.uncertainty.before(new.depth),
    )


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
    """Return the photos that the scene has already, and those whose name it has for another."""
    outcomes: dict[int, AddedPhoto] = {}

    def leave_out(index: int, reason: str) -> None:
        name = views[index].name
        outcomes[index] = AddedPhoto(name, "left out", reason, [], None, math.nan)

    for index, standing in shared_photos(views, scene.views):
        leave_out(index, f"the scene has this photo already, as {scene.views[standing].name}")
    names = {view.name for view in scene.views}
    first: dict[Hashable, str] = {}
    for index, view in enumerate(views):
        same = first.setdefault(pixel_key(view), view.name)
        if index not in outcomes and same != view.name:
            leave_out(index, f"it is the same photo as {same}")
        elif index not in outcomes and view.name in names:
            leave_out(index, "the scene has another photo of this name; rename one of them")
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
