"""Any other model through a function of yours: `--methods python:MODULE:FUNCTION`.

The function takes the photos, a list of RGB arrays, and returns an `Answer`; `answers.py` helps it.
docs/evaluation.md shows one for VGGT.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import UInt8

from fast3r.evaluation.benchmark import Answer

Function = Callable[[Sequence[UInt8[np.ndarray, "_ _ 3"]]], Answer]


class Adapter:
    """A function, as a method."""

    def __init__(self, function: Function, *, name: str) -> None:
        self._function, self._name = function, name

    @property
    def name(self) -> str:
        """Name in tables and of its folder of results."""
        return self._name

    @property
    def settings(self) -> Mapping[str, str | int | float | None]:
        """Hash of the file that the function is in: what is beyond it nobody can know."""
        source = inspect.getsourcefile(self._function)
        content = b"" if source is None else Path(source).read_bytes()
        return {"function": self._name, "source": hashlib.sha256(content).hexdigest()[:16]}

    def __call__(self, photos: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Answer:
        """Return what the function returns."""
        return self._function(photos)


def open_adapter(specification: str) -> Adapter:
    """Return the method of `python:MODULE:FUNCTION`; the current folder is looked into first.

    Raises:
        ValueError: There is no such function.
    """
    place = specification.partition(":")[2]
    module_name, _, function_name = place.partition(":")
    if not module_name or not function_name:
        raise ValueError(f"expected python:MODULE:FUNCTION, got {specification!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"cannot import {module_name} of {specification}: {error}; run from the folder that "
            "holds it, or install it"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"{module_name} has no function {function_name}, see {specification}")
    return Adapter(
        cast(Function, function), name=f"{module_name}-{function_name}".replace(".", "-")
    )
