"""Which views of a scene to draw, by their numbers or names."""

import re
from dataclasses import replace
from fnmatch import fnmatchcase

from fast3r.scene.reconstruction import Reconstruction

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_SHOWN = 5


def find_views(scene: Reconstruction, text: str) -> set[int]:
    """Return the indices of the views that a text such as "3,7-12,*_left.jpg" tells.

    Numbers count from 1 in the order of the scene, as on the map of its cameras; all else is the
    name of a view, or a pattern of names.

    Raises:
        ValueError: A part of the text tells no view.
    """
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        found |= _told_by(scene, part)
    if not found:
        raise ValueError("no view was named: give numbers such as 1-5, or names")
    return found


def only_views(scene: Reconstruction, indices: set[int], *, reason: str) -> Reconstruction:
    """Return the scene in which only these views have cameras, and so points.

    Args:
        scene: With views that keep their numbers.
        indices: Those that stay; the ones without a camera stay without.
        reason: Why the others have no camera, in words for the user.
    """
    cameras = [camera if i in indices else None for i, camera in enumerate(scene.cameras)]
    failures = [
        None if camera is not None else failure or reason
        for camera, failure in zip(cameras, scene.failures, strict=True)
    ]
    return replace(scene, cameras=cameras, failures=failures)


def _told_by(scene: Reconstruction, part: str) -> set[int]:
    names = [view.name for view in scene.views]
    named = {i for i, name in enumerate(names) if name == part or fnmatchcase(name, part)}
    numbers = _RANGE.fullmatch(part)
    if named or numbers is None:
        if not named:
            shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
            raise ValueError(f"no view is named {part!r}; there are {shown}")
        return named
    first, last = int(numbers[1]), int(numbers[2] or numbers[1])
    if not 1 <= first <= last <= len(names):
        raise ValueError(f"views are numbered from 1 to {len(names)}, got {part!r}")
    return set(range(first - 1, last))
