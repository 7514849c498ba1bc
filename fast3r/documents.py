"""JSON and YAML from anywhere: read within limits, or refused with the name of the file."""

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

_MAX_VALUES = 1_000_000
"""A YAML file of a hundred lines can stand for more values than any memory holds."""


def read_json(path: Path, *, unique_keys: bool = False) -> Any:
    """Return what a JSON file holds.

    Args:
        path: The file.
        unique_keys: Refuse objects with a key that is there twice; else the last one counts.

    Raises:
        ValueError: It is not JSON, or nested too deeply; the message names the file.
        OSError: It cannot be read.
    """
    content = path.read_bytes()
    hook = _without_duplicates if unique_keys else None
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds: plain values, and no key twice.

    Raises:
        ValueError: It is not YAML, nested too deeply, or would stand for more than a million
            values once its aliases are written out; the message names the file.
        OSError: It cannot be read.
        ImportError: PyYAML is not installed.
    """
    content = path.read_bytes()
    try:
        import yaml
    except ImportError as error:
        raise ImportError(f"{path} is YAML, which needs PyYAML: pip install pyyaml") from error
    try:
        return _parsed_yaml(content)
    except (
        yaml.YAMLError,
        ArithmeticError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise ValueError(f"{path} cannot be read as YAML: {error}") from error


def _parsed_yaml(content: bytes) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses keys that are there twice, of which YAML would take the last."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
            _without_duplicates(
                [(key.value, None) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            )
            return super().construct_mapping(node, deep)

    loader = Loader(content)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _num_values(node, {}) > _MAX_VALUES:
            raise ValueError(f"with its aliases written out it has more than {_MAX_VALUES} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _num_values(node: "yaml.Node", known: dict[int, int]) -> int:
    """Return how many values a node stands for with its aliases written out."""
    if id(node) in known:
        return known[id(node)]
    # So many has a node that is an alias inside itself, which has no end.
    known[id(node)] = _MAX_VALUES + 1
    parts = node.value if isinstance(node.value, list) else []
    nodes = chain.from_iterable(part if isinstance(part, tuple) else (part,) for part in parts)
    known[id(node)] = 1 + sum(_num_values(part, known) for part in nodes)
    return known[id(node)]


def _without_duplicates(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    entries: dict[Any, Any] = {}
    for key, value in pairs:
        if key in entries:
            raise ValueError(f"{key!r} is there twice")
        entries[key] = value
    return entries
