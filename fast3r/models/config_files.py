"""Model shapes as JSON, in our format, which mirrors the dataclasses, or in the published one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fast3r.models.config import Fast3RConfig
from fast3r.models.published_config import is_published, read_published_config
from fast3r.plain_values import plain, receive

_LATER = frozenset({"head.matches"})
"""Entries that files from before them leave out, since their models have no such part."""


def read_config(entries: Mapping[str, Any]) -> Fast3RConfig:
    """Return the config that a JSON file holds, in our format or the published one.

    Ours must be whole: what it leaves out would silently be that of the published model.

    Raises:
        ValueError: An entry is unknown, missing or of a kind that this network does not have.
    """
    if is_published(entries):
        return read_published_config(entries)
    config = receive(Fast3RConfig, entries, where="config")
    missing = [name for name in _missing(entries, plain(config)) if name not in _LATER]
    if missing:
        raise ValueError(f"config lacks {', '.join(missing)}")
    return config


def write_config(config: Fast3RConfig) -> str:
    """Return the config as JSON in our format."""
    return json.dumps(plain(config), indent=2)


def _missing(
    entries: Mapping[str, Any], whole: Mapping[str, Any], where: str = ""
) -> Iterator[str]:
    for name, part in whole.items():
        if name not in entries:
            yield where + name
        elif isinstance(part, Mapping):
            yield from _missing(entries[name], part, f"{where}{name}.")
