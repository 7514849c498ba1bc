"""Which photo or view a name means, and names that are free."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import chain, count
from pathlib import PurePosixPath
from typing import Protocol, TypeVar, runtime_checkable

_T = TypeVar("_T")
_SHOWN = 3


@runtime_checkable
class Named(Protocol):
    """A photo or view."""

    @property
    def name(self) -> str:
        """Path relative to the input folder."""
        ...


class UnknownNameError(ValueError):
    """A name is that of no view."""


class Names:
    """The names of a set of views."""

    def __init__(self, views: Sequence[Named], *, other_photos: bool = False) -> None:
        """Take the names of these.

        Args:
            views: Photos or views.
            other_photos: Entries may be of other photos too, as long as one is of these.
        """
        self._indices = {view.name: index for index, view in enumerate(views)}
        self._other_photos = other_photos

    def index(self, name: str, *, what: str) -> int:
        """Return which view has a name, with or without folders and ending.

        Raises:
            UnknownNameError: None has, or several could be meant.
        """
        if name in self._indices:
            return self._indices[name]
        # Other programs write names relative to another folder, such as images/a.jpg.
        path = PurePosixPath(name.replace("\\", "/")).as_posix()
        found = [i for n, i in self._indices.items() if _ends_with(n, path) or _ends_with(path, n)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownNameError(f"{what}: {name!r} could be several views; {self._known()}")
        raise UnknownNameError(f"{what}: no view is named {name!r}; {self._known()}")

    def by_view(self, entries: Mapping[str, _T] | Sequence[_T], *, what: str) -> dict[int, _T]:
        """Return entries by the index of their view.

        Args:
            entries: By name or pattern, or one for each view in their order.
            what: What they are, for messages.

        Raises:
            ValueError: The count is wrong, a name or pattern is that of no view, or two entries
                are for one view.
        """
        if not isinstance(entries, Mapping):
            if len(entries) != len(self._indices):
                raise ValueError(
                    f"{what}: {len(entries)} are given for {len(self._indices)} views; give one "
                    "for each view in their order, or name the views"
                )
            return dict(enumerate(entries))
        if not entries:
            raise ValueError(f"{what}: none is given")
        patterns = {n: e for n, e in entries.items() if _is_pattern(n) and n not in self._indices}
        exact = {name: entry for name, entry in entries.items() if name not in patterns}
        chosen = self._exact(exact, what)
        for index, entry in self._by_pattern(patterns, what).items():
            chosen.setdefault(index, entry)
        return chosen

    def _exact(self, entries: Mapping[str, _T], what: str) -> dict[int, _T]:
        chosen: dict[int, _T] = {}
        named: dict[int, str] = {}
        unknown: list[UnknownNameError] = []
        for name, entry in entries.items():
            try:
                index = self.index(name, what=what)
            except UnknownNameError as error:
                unknown.append(error)
                continue
            if index in chosen:
                raise ValueError(f"{what}: {named[index]!r} and {name!r} are the same view")
            chosen[index], named[index] = entry, name
        if unknown and not (self._other_photos and chosen):
            raise unknown[0]
        return chosen

    def _by_pattern(self, patterns: Mapping[str, _T], what: str) -> dict[int, _T]:
        chosen: dict[int, _T] = {}
        # "*" is for what nothing else is for, wherever it stands.
        for pattern in sorted(patterns, key=lambda pattern: pattern == "*"):
            found = [i for name, i in self._indices.items() if fnmatchcase(name, pattern)]
            if not found:
                raise ValueError(f"{what}: no view is named like {pattern!r}; {self._known()}")
            twice = [i for i in found if i in chosen and pattern != "*"]
            if twice:
                name = list(self._indices)[twice[0]]
                raise ValueError(f"{what}: two patterns are for {name!r}, one is {pattern!r}")
            for index in found:
                chosen.setdefault(index, patterns[pattern])
        return chosen

    def _known(self) -> str:
        shown = ", ".join(list(self._indices)[:_SHOWN])
        return f"the {len(self._indices)} views are {shown}" + (
            ", ..." if len(self._indices) > _SHOWN else ""
        )


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


def _is_pattern(name: str) -> bool:
    return any(letter in name for letter in "*?[")


def _ends_with(path: str, tail: str) -> bool:
    """Return whether a path ends with another one, of which one may lack its ending."""
    stem = path.rpartition(".")[0] or path
    bare = tail.rpartition(".")[0] or tail
    return (
        f"/{path}".endswith(f"/{tail}")
        or f"/{stem}".endswith(f"/{tail}")
        or f"/{path}".endswith(f"/{bare}")
    )
