"""A scene without some of its views, or with those of another one; what stays is not touched."""

import re
from collections.abc import Sequence
from dataclasses import replace

from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.reconstruction import Reconstruction
from fast3r.scene.refinement.record import ViewRefinement
from fast3r.views.names import Names


def remove(scene: Reconstruction, views: str | int | Sequence[str | int]) -> Reconstruction:
    """Return the scene without some views; cameras, depth and world of the others stay bit by bit.

    Checks of priors that are of a removed view go with it, and so does its entry in the record of
    refinement. What that record says of all views together stays: it tells what was done, with
    the removed views.

    Args:
        scene: Any.
        views: Names, with or without folders and ending, or indices.

    Raises:
        ValueError: There is no such view, or none would be left.
    """
    gone = indices_of(scene, views, what="remove")
    if len(gone) == len(scene.views):
        raise ValueError(f"remove: that is all {len(gone)} views; at least one has to stay")
    names = [scene.views[index].name for index in gone]
    rest = subset(scene, [i for i in range(len(scene.views)) if i not in gone])
    checks = [check for check in scene.prior_checks if not any(_names(check, n) for n in names)]
    return replace(rest, prior_checks=checks)


def indices_of(
    scene: Reconstruction, views: str | int | Sequence[str | int], *, what: str
) -> list[int]:
    """Return the indices of views that are told by name or index, each once, in the scene's order.

    Raises:
        ValueError: There is no such view, or none was named.
    """
    wanted = [views] if isinstance(views, str | int) else list(views)
    if not wanted:
        raise ValueError(f"{what}: no view is named; give names or indices of views")
    names = Names(scene.views)
    found: set[int] = set()
    for view in wanted:
        if isinstance(view, str):
            found.add(names.index(view, what=what))
        elif -len(scene.views) <= view < len(scene.views):
            found.add(view % len(scene.views))
        else:
            raise ValueError(f"{what}: there is no view {view}, the scene has {len(scene.views)}")
    return sorted(found)


def subset(scene: Reconstruction, indices: Sequence[int]) -> Reconstruction:
    """Return the scene with these views alone, in this order."""
    record, maps = scene.refinement, scene.world_pointmaps
    if record is not None:
        record = replace(record, views=[record.views[i] for i in indices])
    return replace(
        scene,
        views=[scene.views[i] for i in indices],
        cameras=[scene.cameras[i] for i in indices],
        depth=[scene.depth[i] for i in indices],
        confidence=[scene.confidence[i] for i in indices],
        failures=[scene.failures[i] for i in indices],
        world_pointmaps=None if maps is None else [maps[i] for i in indices],
        refinement=record,
        uncertainty=scene.uncertainty and scene.uncertainty.of(indices),
    )


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


def _names(check: PriorCheck, name: str) -> bool:
    """Return whether a check is of a view, whose name may be a part of another one's."""
    return re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w./-])", check.prior) is not None
