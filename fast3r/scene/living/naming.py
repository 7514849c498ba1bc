"""Names for views of several scenes, each of which is unique in its own."""

from collections.abc import Sequence
from itertools import chain, count
from pathlib import PurePosixPath


def free_names(names: Sequence[str]) -> list[str]:
    """Return the names, those that are there already with a number: a.jpg, a-2.jpg."""
    wanted, taken = set(names), set[str]()
    free: list[str] = []
    for name in names:
        path = PurePosixPath(name)
        numbered = (path.with_name(f"{path.stem}-{n}{path.suffix}").as_posix() for n in count(2))
        others = (other for other in numbered if other not in wanted)
        free.append(next(other for other in chain((name,), others) if other not in taken))
        taken.add(free[-1])
    return free
