"""What every camera file says of a photo, whichever program wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from fast3r.geometry.lenses import PARAMETERS, Lens

PINHOLE_MODELS = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV")
"""Models of cameras that are a pinhole where all parameters of the lens are 0."""

MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What plain arithmetic raises over a document in which something is not what it should be."""

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL's axes are x right, y up, z backward."""


@dataclass(frozen=True)
class Calibration:
    """Intrinsics of a photo, and what its lens does to straight lines."""

    intrinsics: Float[np.ndarray, "3 3"]
    """In pixels of a photo of this size, pixel centres at +0.5; without the lens."""

    size: tuple[int, int] | None
    """Width and height; None: those of the photo."""

    model: str = "PINHOLE"
    """COLMAP's name."""

    lens: Mapping[str, float] = field(default_factory=dict)
    """Parameters of the lens that are not 0, by COLMAP's names, such as k1."""

    @property
    def is_pinhole(self) -> bool:
        """Whether straight lines stay straight."""
        return self.model in PINHOLE_MODELS and not self.lens

    def known_lens(self, name: str) -> Lens | None:
        """Return the lens of a photo, None for a pinhole.

        Files of nerfstudio and instant-ngp may leave the model out, and know a third coefficient of
        OPENCV, which COLMAP calls FULL_OPENCV. Their fourth one is that of no model of COLMAP.

        Raises:
            ValueError: The model is unknown, or such a lens makes no sense.
        """
        if self.is_pinhole:
            return None
        model = "OPENCV" if self.model in ("PINHOLE", "SIMPLE_PINHOLE") else self.model
        if model == "OPENCV" and "k3" in self.lens:
            model = "FULL_OPENCV" if set(self.lens) <= {"k1", "k2", "k3", "p1", "p2"} else model
        try:
            if self.size is None:
                raise ValueError("the file does not tell the size of its photo")
            names = PARAMETERS.get(model, ())
            strange = [key for key in self.lens if names and key not in names]
            if strange:
                raise ValueError(f"{model} has no {strange[0]}; known are {' '.join(names)}")
            (fx, _, cx), (_, fy, cy), _ = self.intrinsics.tolist()
            values = {"f": fx, "fx": fx, "fy": fy, "cx": cx, "cy": cy, **self.lens}
            return Lens(model, tuple(values.get(key, 0.0) for key in names), *self.size)
        except ValueError as error:
            raise ValueError(f"lens of {name}: {error}") from error


@dataclass(frozen=True)
class CameraRecord:
    """One photo of a camera file."""

    name: str
    """As the file has it: relative to the file or to a folder of photos."""

    calibration: Calibration
    """Its camera."""

    world_from_camera: Float[np.ndarray, "4 4"]
    """As the file has it, in OpenCV axes; nobody checked that it is rigid."""

    depth_name: str | None = None
    """Its depth map as the file has it, relative to the file."""


def square_matrix(rows: Any, size: int) -> Float[np.ndarray, "size size"]:
    """Return a matrix from nested lists; a pose may lack its last row.

    Raises:
        TypeError: The lists have another shape.
        ValueError: They hold something else than finite numbers.
    """
    matrix = np.eye(size)
    values = np.asarray(rows, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != size or values.shape[0] not in (3, size):
        raise TypeError(f"expected a matrix of {size}x{size}, found shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"expected finite numbers, found {values.tolist()}")
    matrix[: len(values)] = values
    return matrix
