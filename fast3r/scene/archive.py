"""A whole Reconstruction as one `.npz`, exact and without pickle.

Every tensor is an array named after its place (`depth.3`, `views.3.pixels`), so the file can
be used without this package; the array `scene` is JSON that holds all else and says where the
tensors belong.
"""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fast3r.geometry.cameras import Camera
from fast3r.geometry.lenses import Lens
from fast3r.models.prediction import Pointmap
from fast3r.scene.chunk_record import ChunkRecord, LinkRecord, LongRecord
from fast3r.scene.ensemble.record import Calibration, CameraUncertainty, Uncertainty
from fast3r.scene.numpy_files import read_arrays
from fast3r.scene.priors.outcome import PriorCheck
from fast3r.scene.reconstruction import Reconstruction, Scale, World
from fast3r.scene.refinement.record import RefinementRecord, ViewRefinement
from fast3r.views.panorama import Face
from fast3r.views.view import SkippedPhoto, View

_VERSION = 1
_TYPES = {
    kind.__name__: kind
    for kind in (
        Calibration,
        Camera,
        CameraUncertainty,
        ChunkRecord,
        Face,
        Lens,
        LinkRecord,
        LongRecord,
        Pointmap,
        PriorCheck,
        Reconstruction,
        RefinementRecord,
        Scale,
        SkippedPhoto,
        Uncertainty,
        View,
        ViewRefinement,
        World,
    )
}
_MISFITS = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)


def write_archive(scene: Reconstruction, path: Path) -> None:
    """Write everything that the scene holds."""
    arrays: dict[str, Any] = {}
    document = {"format": "fast3r", "version": _VERSION, "scene": _encoded(scene, "", arrays)}
    with path.open("wb") as file:
        np.savez(file, scene=np.array(json.dumps(document)), **arrays)


def read_archive(path: Path) -> Reconstruction:
    """Return the scene of a file from `write_archive`.

    Raises:
        ValueError: The file is damaged, no fast3r scene, or from a newer version.
        OSError: The file cannot be read.
    """
    arrays = read_arrays(path)
    if "" in arrays:
        raise ValueError(f"{path} is damaged or no .npz file: it holds a single array")
    try:
        document = json.loads(str(arrays["scene"]))
        version = document["version"] if document["format"] == "fast3r" else None
    except _MISFITS as error:
        raise ValueError(f"{path} is an .npz file, but not a scene of fast3r") from error
    if version != _VERSION:
        raise ValueError(
            f"{path} has scene format {version}, this fast3r reads {_VERSION}; upgrade fast3r"
        )
    try:
        scene = _decoded(document["scene"], arrays)
    except (*_MISFITS, AssertionError) as error:
        raise ValueError(f"{path} is not a whole scene: {error!r}") from error
    if not isinstance(scene, Reconstruction):
        raise ValueError(f"{path} is not a whole scene: it holds a {type(scene).__name__}")
    return scene


def _encoded(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return `value` as JSON, with its tensors put into `arrays` under the name of their place.

    What JSON has no word for becomes an object of one key that names the type.
    """
    if isinstance(value, Tensor):
        arrays[place] = value.numpy()
        return {"tensor": place}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, list | tuple):
        entries = [_encoded(v, f"{place}.{i}", arrays) for i, v in enumerate(value)]
        return entries if isinstance(value, list) else {"tuple": entries}
    if is_dataclass(value):
        names = [f.name for f in fields(value)]
        content = {n: _encoded(getattr(value, n), f"{place}.{n}".strip("."), arrays) for n in names}
        # A view that is decoded when looked at is a subclass; what comes back is a plain one.
        return {next(n for n, kind in _TYPES.items() if isinstance(value, kind)): content}
    assert value is None or isinstance(value, str | int | float), type(value)
    return value


def _decoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decoded(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return torch.from_numpy(arrays[content])
    if kind == "path":
        return Path(content)
    if kind == "tuple":
        return tuple(_decoded(v, arrays) for v in content)
    return _TYPES[kind](**{name: _decoded(v, arrays) for name, v in content.items()})
