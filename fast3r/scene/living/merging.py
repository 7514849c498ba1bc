"""Two scenes as one, by the photos that both have, or by a pass over views of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fast3r.geometry.transforms import Similarity
from fast3r.models.fast3r import Fast3R
from fast3r.scene.joining import Joint, join
from fast3r.scene.living.bridging import Bridge, bridge
from fast3r.scene.living.placing import PassOptions, contradiction
from fast3r.scene.living.removing import appended, subset
from fast3r.scene.living.sameness import shared_photos
from fast3r.scene.living.worlds import common_world
from fast3r.scene.machine import Precision
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.stages import StageRecorder
from fast3r.views.names import free_names


class NeedsModelError(ValueError):
    """Two scenes cannot be brought together without the network."""


@dataclass(frozen=True)
class Merged:
    """Two scenes as one."""

    scene: Reconstruction
    """The views of the first scene, then those that only the second one has."""

    a_from_b: Similarity
    """How the second scene lies in the first, in float64."""

    joints: list[Joint]
    """How well what was compared agrees: the two scenes in the photos that both have; or either
    scene with the pass over views of both."""

    shared: list[tuple[str, str]]
    """Names of the photos that both have, in the first and in the second scene."""

    bridge: list[str]
    """Names of the views that the network saw together; empty where shared photos did."""

    renamed: dict[str, str]
    """Names of views of the second scene that were taken, and what they are called now."""

    checks: list[PriorCheck]
    """What both scenes tell of scale, vertical or place on the Earth, beside each other."""


def merge(
    a: Reconstruction,
    b: Reconstruction,
    model: Fast3R | None = None,
    *,
    max_bridge_views: int = 16,
    seed: int = 0,
    size: int | None = None,
    precision: Literal["auto"] | Precision = "auto",
    recorder: StageRecorder | None = None,
) -> Merged:
    """Return two scenes as one.

    Photos that both have tell how the scenes lie to each other, without the network. Where there
    are none, or they contradict each other, a pass over the views of both that are most alike does.
    Of a photo that both have the surer view is kept: one with a camera, then a refined one, then
    that of the higher median confidence. Axes come from the scene of which more is known, and so
    does the unit if it is metric there; otherwise they are those of `a`. Records of refinement and
    of chunks are dropped, since they are each of one scene.

    Args:
        a: Keeps its world, unless more is known of that of `b`.
        b: Any other scene.
        model: For a pass over views of both, where it is needed.
        max_bridge_views: Views of that pass, half of them from each scene.
        seed: Equal seeds give equal results.
        size: Long side in pixels at which the network sees the views; by default what it was
            trained for.
        precision: Number format of the transformer.
        recorder: Measures the stages and tells of progress.

    Raises:
        NeedsModelError: Without a model nothing tells how the two lie to each other.
        ValueError: A scene has no camera, or the model does not tell it either.
    """
    a.posed_views()
    b.posed_views()
    recorder = recorder or StageRecorder()
    with recorder.stage("compare scenes"):
        pairs = shared_photos(a.views, b.views)
        joint = join(a, b, pairs, seed=seed)
    a_from_b, joints, connection = joint.a_from_b, [joint], None
    reason = contradiction(joint)
    if a_from_b is None or reason is not None:
        if model is None:
            raise NeedsModelError(_why_a_model(pairs, reason))
        options = PassOptions(seed, size, precision)
        connection = bridge(a, b, model, options, max_views=max_bridge_views, recorder=recorder)
        a_from_b, joints = connection.a_from_b, connection.joints
    return _merged(a, b, pairs, a_from_b, joints, connection)


def _why_a_model(pairs: Sequence[tuple[int, int]], reason: str | None) -> str:
    way_out = "give a model, so that it can look at views of both"
    if not pairs:
        return f"the scenes have no photo in common; {way_out}"
    return f"the {len(pairs)} photos that both scenes have do not join them: {reason}; {way_out}"


def _merged(
    a: Reconstruction,
    b: Reconstruction,
    pairs: Sequence[tuple[int, int]],
    a_from_b: Similarity,
    joints: list[Joint],
    connection: Bridge | None,
) -> Merged:
    together = common_world(a, b, a_from_b)
    moved_a, moved_b = (
        replace(
            scene if move is None else scene.transformed(move),
            scale=together.scale,
            world=together.world,
        )
        for scene, move in ((a, together.from_a), (b, together.from_b))
    )
    shared = [(a.views[i].name, b.views[j].name) for i, j in pairs]
    moved_b, renamed = _named(moved_a, moved_b, {j: i for i, j in pairs})
    both = appended(replace(moved_a, refinement=None, long=None), moved_b)
    scene = replace(
        subset(both, _kept(a, b, pairs)),
        skipped=[*a.skipped, *b.skipped],
        prior_checks=[*a.prior_checks, *b.prior_checks, *together.checks],
    )
    bridge_views = [] if connection is None else connection.views
    return Merged(scene, a_from_b, joints, shared, bridge_views, renamed, together.checks)


def _kept(a: Reconstruction, b: Reconstruction, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Return which of the views of both, those of b counted on, stay: of a shared photo, one."""
    order = list(range(len(a.views) + len(b.views)))
    for i, j in pairs:
        if _sureness(b, j) > _sureness(a, i):
            order[i] = len(a.views) + j
    shared = {len(a.views) + j for _, j in pairs}
    return order[: len(a.views)] + [k for k in order[len(a.views) :] if k not in shared]


def _sureness(scene: Reconstruction, index: int) -> tuple[bool, bool, float]:
    refined = scene.refinement is not None and scene.refinement.views[index].part is not None
    valid = scene.valid(index)
    confidence = scene.confidence[index][valid].median().item() if valid.any() else 0.0
    return scene.cameras[index] is not None, refined, confidence


def _named(
    a: Reconstruction, b: Reconstruction, same: Mapping[int, int]
) -> tuple[Reconstruction, dict[str, str]]:
    """Return b with the names of a for photos that both have, and names that are free for others.

    Args:
        a: Whose names stay.
        b: Any.
        same: For photos that both have, their index in a by that in b.
    """
    own = [index for index in range(len(b.views)) if index not in same]
    taken = [view.name for view in a.views]
    free = free_names([*taken, *(b.views[index].name for index in own)])[len(taken) :]
    names = {j: taken[i] for j, i in same.items()} | dict(zip(own, free, strict=True))
    views = [
        view if view.name == names[index] else replace(view, name=names[index])
        for index, view in enumerate(b.views)
    ]
    renamed = {b.views[index].name: names[index] for index in own}
    return replace(b, views=views), {old: new for old, new in renamed.items() if old != new}
