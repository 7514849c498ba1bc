"""Blobs that can be found again in other photos (SIFT; Lowe, 2004), by pycolmap on the CPU."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from fast3r.scene.refinement.photos import WorkingPhoto, belongs

_OLDEST = (4, 2)
"""The first pycolmap whose global mapping returns several models."""

FEATURE_SIDE_PX = 1600
"""Longest side at which features are looked for; more pixels take longer and show little more."""

Effort = Literal["usual", "thorough"]
"""How hard to look: thorough is for sets whose views do not all connect."""

_PEAK_THRESHOLD = {"usual": 0.004, "thorough": 0.002}
"""Contrast of a blob; COLMAP's 0.0067 leaves few features on plain walls and small photos."""

_EDGE_THRESHOLD = {"usual": 10.0, "thorough": 15.0}
"""How much longer than wide a blob may be."""

_MAX_FEATURES = 8192
"""Of one photo; COLMAP's own limit."""


@dataclass(frozen=True)
class Features:
    """The features of one photo, largest first."""

    positions: Float[Tensor, "features 2"]
    """In working pixels."""

    descriptors: UInt8[Tensor, "features 128"]
    """Of length 512."""

    def __len__(self) -> int:
        return len(self.positions)


def import_pycolmap(purpose: str = "refinement") -> ModuleType:
    """Return pycolmap, silenced.

    Args:
        purpose: What needs it, for the message.

    Raises:
        ImportError: It is not installed, or too old.
    """
    try:
        import pycolmap
    except ImportError as error:
        raise ImportError(f"{purpose} needs pycolmap: pip install 'fast3r[refine]'") from error
    if tuple(int(part) for part in pycolmap.__version__.split(".")[:2]) < _OLDEST:
        wanted = ".".join(map(str, _OLDEST))
        raise ImportError(
            f"{purpose} needs pycolmap {wanted} or newer, found {pycolmap.__version__}: "
            "pip install --upgrade 'fast3r[refine]'"
        )
    pycolmap.logging.minloglevel = pycolmap.logging.Level.FATAL.value
    return pycolmap


def find_features(photo: WorkingPhoto, effort: Effort) -> Features:
    """Return SIFT features with affine shape, of what belongs to the scene.

    The affine shape (Mikolajczyk and Schmid, 2004) makes them match over wider baselines.
    """
    pycolmap = import_pycolmap()
    options = pycolmap.FeatureExtractionOptions(num_threads=1, use_gpu=False)
    options.sift.estimate_affine_shape = True
    options.sift.peak_threshold = _PEAK_THRESHOLD[effort]
    options.sift.edge_threshold = _EDGE_THRESHOLD[effort]
    options.sift.max_num_features = _MAX_FEATURES
    options.max_image_size = max(photo.pixels.shape[:2])
    shapes, found = _extracted(photo.pixels, options)
    if len(shapes) == 0:
        return Features(torch.zeros(0, 2), torch.zeros(0, 128, dtype=torch.uint8))
    positions = shapes[:, :2] + torch.tensor([photo.left, photo.top])
    keep = belongs(photo, positions).nonzero()[:, 0]
    order = keep[_size(shapes[keep]).argsort(descending=True, stable=True)]
    return Features(positions[order], found[order])


def _extracted(
    pixels: UInt8[Tensor, "rows columns 3"], options: Any
) -> tuple[Float[Tensor, "features 6"], UInt8[Tensor, "features 128"]]:
    """Return position and affine matrix of each feature, and its descriptor.

    By way of files: only so does pycolmap let other threads run meanwhile.
    """
    pycolmap = import_pycolmap()
    with TemporaryDirectory(prefix="fast3r-features-") as place:
        database, photo = Path(place) / "database.db", "photo.png"
        Image.fromarray(grey(pixels)).save(Path(place) / photo, compress_level=0)
        pycolmap.extract_features(
            database,
            place,
            image_names=[photo],
            extraction_options=options,
            device=pycolmap.Device.cpu,
        )
        with pycolmap.Database.open(database) as opened:
            (image,) = opened.read_all_images()
            shapes = opened.read_keypoints(image.image_id)
            descriptors = opened.read_descriptors(image.image_id).data
    return (
        torch.from_numpy(np.array(shapes, np.float32)).reshape(-1, 6),
        torch.from_numpy(np.array(descriptors, np.uint8)).reshape(-1, 128),
    )


def _size(shapes: Float[Tensor, "features 6"]) -> Float[Tensor, " features"]:
    """Return how large features are: x, y, and an affine matrix by rows."""
    keypoint, names = import_pycolmap().FeatureKeypoint, ("a11", "a12", "a21", "a22")
    affine = shapes[:, 2:].tolist()
    sizes = [keypoint(**dict(zip(names, a, strict=True))).compute_scale() for a in affine]
    return torch.tensor(sizes, dtype=torch.float32)


def grey(pixels: UInt8[Tensor, "rows columns 3"]) -> UInt8[np.ndarray, "rows columns"]:
    """Return how bright pixels are, as features are looked for."""
    weights = torch.tensor([0.299, 0.587, 0.114])
    return (pixels.float() @ weights).round().to(torch.uint8).numpy()
