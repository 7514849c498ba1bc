"""Entries of a document, of the kind that they must be, or refused with their place in it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

_T = TypeVar("_T")


class MisfitError(ValueError):
    """Something in a document is not as it should be; the message says what."""


def object_of(
    value: Any, place: str, *, needed: Sequence[str] = (), optional: Sequence[str] = ()
) -> dict[str, Any]:
    """Return a mapping; with any name given, one that has no others."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise MisfitError(f"{place} must be an object with names, is {_shown(value)}")
    allowed = (*needed, *optional)
    unknown = [key for key in value if allowed and key not in allowed]
    if unknown:
        raise MisfitError(f"{place} has {unknown[0]!r}; known are {', '.join(allowed)}")
    missing = [key for key in needed if key not in value]
    if missing:
        raise MisfitError(f"{place} needs {missing[0]!r}")
    return value


def per_view(value: Any, place: str, read: Callable[[Any, str], _T]) -> dict[str, _T] | list[_T]:
    """Return what is read of each entry, by name or in their order."""
    if isinstance(value, list):
        return [read(entry, f"{place}[{position}]") for position, entry in enumerate(value)]
    named = object_of(value, place)
    return {name: read(entry, f"{place}[{name!r}]") for name, entry in named.items()}


def options_of(entries: Mapping[str, Any], place: str, names: Sequence[str]) -> dict[str, float]:
    """Return the numbers that are given of some that may be."""
    return {name: number(entries[name], f"{place}.{name}") for name in names if name in entries}


def matrix_of(value: Any, place: str, size: int) -> Float[Tensor, "size size"]:
    """Return a square matrix; one of 4 rows may lack the last."""
    rows = list_of(value, place)
    if len(rows) not in (3, size):
        raise MisfitError(f"{place} must be {size}x{size} numbers, has {len(rows)} rows")
    matrix = torch.eye(size, dtype=torch.float64)
    for position, row in enumerate(rows):
        matrix[position] = torch.tensor(numbers(row, place, size), dtype=torch.float64)
    return matrix


def numbers(value: Any, place: str, count: int, names: str = "") -> list[float]:
    """Return so many numbers; `names` tells in messages what they are."""
    entries = list_of(value, place)
    if len(entries) != count:
        meant = f" ({names})" if names else ""
        raise MisfitError(f"{place} must be {count} numbers{meant}, is {_shown(value)}")
    return [number(entry, place) for entry in entries]


def pair(value: Any, place: str, names: str = "") -> tuple[float, float]:
    """Return two numbers."""
    first, second = numbers(value, place, 2, names)
    return first, second


def number(value: Any, place: str) -> float:
    """Return a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MisfitError(f"{place} must be a number, is {_shown(value)}")
    try:
        return float(value)
    except OverflowError as error:
        raise MisfitError(f"{place} is too large a number") from error


def flag(value: Any, place: str) -> bool:
    """Return true or false."""
    return _of_kind(bool, value, place, "be true or false")


def text(value: Any, place: str) -> str:
    """Return a name."""
    return _of_kind(str, value, place, "name something")


def list_of(value: Any, place: str) -> list[Any]:
    """Return a list."""
    return _of_kind(list, value, place, "be a list")


def _of_kind(kind: type[_T], value: Any, place: str, duty: str) -> _T:
    if not isinstance(value, kind):
        raise MisfitError(f"{place} must {duty}, is {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
