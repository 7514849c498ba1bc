"""Dataclasses from plain values, strictly, and back: how YAML and JSON become typed and frozen.

A part that is not given keeps its default. OmegaConf's own structured configs know neither
`Literal` nor nested tuples, which is why the types are read here.
"""

import dataclasses
import difflib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

_Kind = TypeVar("_Kind")


def receive(kind: type[_Kind], entries: Any, *, where: str = "") -> _Kind:
    """Return a dataclass filled with entries, its parts read by their types.

    Args:
        kind: A dataclass, of which every field is a plain value, a tuple, a dictionary with text
            keys, or again a dataclass. Of a union of dataclasses the entry `name` tells which.
        entries: Values by field, a mapping.
        where: Dotted name of the part, for messages.

    Raises:
        ValueError: A key is unknown, a value has the wrong type or is refused by the dataclass;
            the message names the key, and the known ones that are nearest.
    """
    if not isinstance(entries, Mapping):
        raise ValueError(f"{where} must be a set of keys and values, got {entries!r}")
    fields = {f.name: f for f in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
    for key in entries:
        if key not in fields:
            raise ValueError(_unknown(_joined(where, str(key)), str(key), list(fields)))
    missing = [name for name, f in fields.items() if _is_required(f) and name not in entries]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}".lstrip())
    hints = get_type_hints(kind)
    values = {key: _read(hints[key], value, _joined(where, key)) for key, value in entries.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}" if where else str(error)) from error


def plain(value: Any) -> Any:
    """Return the values of a dataclass as YAML can hold them: the inverse of `receive`."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def _is_required(field: dataclasses.Field) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _joined(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _unknown(where: str, key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return f"there is no key {where}; {hint}Known here: {', '.join(sorted(known))}"


def _read(kind: Any, value: Any, where: str) -> Any:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return receive(kind, value, where=where)
    origin, choices = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _read_union(choices, value, where)
    if origin is Literal:
        return _read_choice(choices, value, where)
    if origin is tuple:
        return _read_tuple(choices, value, where)
    if origin in (dict, Mapping):
        return _read_mapping(choices[1], value, where)
    return _read_single(kind, value, where)


def _read_union(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in choices:
        return None
    parts = [choice for choice in choices if choice is not type(None)]
    if len(parts) == 1:
        return _read(parts[0], value, where)
    kinds = [part for part in parts if isinstance(part, type) and dataclasses.is_dataclass(part)]
    named = {_name_of(kind): kind for kind in kinds}
    if len(kinds) > 1 and isinstance(value, Mapping):
        name = value.get("name")
        if name not in named:
            raise ValueError(f"{where}.name must be one of {', '.join(named)}, got {name!r}")
        return _read(named[name], value, where)
    for part in sorted(parts, key=lambda part: type(value) is not part):
        try:
            return _read(part, value, where)
        except ValueError:
            continue
    raise ValueError(f"{where} must be {_described(Union[choices])}, got {value!r}")  # noqa: UP007


def _name_of(kind: type) -> str:
    """Return the value that the field `name` of one dataclass of a union has."""
    return get_args(get_type_hints(kind)["name"])[0]


def _read_choice(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if value not in choices or isinstance(value, bool) is not isinstance(choices[0], bool):
        raise ValueError(f"{where} must be one of {', '.join(map(str, choices))}, got {value!r}")
    return value


def _read_tuple(parts: tuple[Any, ...], value: Any, where: str) -> tuple:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"{where} must be a list such as [1,2], got {value!r}")
    if parts[-1] is Ellipsis:
        parts = parts[:1] * len(value)
    if len(parts) != len(value):
        raise ValueError(f"{where} must be a list of {len(parts)}, got {value!r}")
    pairs = enumerate(zip(parts, value, strict=True))
    return tuple(_read(part, entry, f"{where}[{place}]") for place, (part, entry) in pairs)


def _read_mapping(kind: Any, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be a set of keys and values, got {value!r}")
    return {str(key): _read(kind, part, _joined(where, str(key))) for key, part in value.items()}


def _read_single(kind: Any, value: Any, where: str) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value).expanduser()
    if kind is float and type(value) in (int, str):  # YAML reads 1e-4 as text
        try:
            return float(value)
        except OverflowError as error:
            raise ValueError(f"{where} is too large a number") from error
        except ValueError:
            pass  # text that is no number is refused below
    if kind is not Any and type(value) is not kind:
        raise ValueError(f"{where} must be {_described(kind)}, got {value!r}")
    return value


_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}


def _described(kind: Any) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(map(_described, get_args(kind)))
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    return _WORDS.get(kind, "null" if kind is type(None) else getattr(kind, "__name__", str(kind)))
