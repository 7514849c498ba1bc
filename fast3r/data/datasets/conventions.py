"""What the public preprocessings have in common: conventions of their cameras, JSON files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from fast3r.data.frame import BrokenFrameError


def from_integer_centres(intrinsics: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """Return intrinsics for pixel centres at +0.5, from ones for centres at whole numbers.

    OpenCV and the preprocessing scripts of DUSt3R put (0, 0) at the centre of the first pixel.
    """
    moved = np.array(intrinsics, dtype=np.float64)
    moved[:2, 2] += 0.5
    return moved


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        BrokenFrameError: It is missing, not JSON or something else than an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BrokenFrameError(f"{path}: {reason}; expected a JSON object") from error
    except ValueError as error:
        raise BrokenFrameError(f"{path}: not JSON ({error}); expected an object") from error
    if not isinstance(content, dict):
        raise BrokenFrameError(f"{path}: holds a {type(content).__name__}; expected an object")
    return content
