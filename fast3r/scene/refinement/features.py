"""Blobs that can be found again in other photos (SIFT; Lowe, 2004), by pycolmap on the CPU."""

from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
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


def import_pycolmap() -> ModuleType:
    """Return pycolmap, silenced.

    Raises:
        ImportError: It is not installed, or too old.
    """
    try:
        import pycolmap
    except ImportError as error:
        raise ImportError("refinement needs pycolmap: pip install 'fast3r[refine]'") from error
    if tuple(int(part) for part in pycolmap.__version__.split(".")[:2]) < _OLDEST:
        wanted = ".".join(map(str, _OLDEST))
        raise ImportError(
            f"refinement needs pycolmap {wanted} or newer, found {pycolmap.__version__}: "
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
    extractor = pycolmap.FeatureExtractor.create(options, pycolmap.Device.cpu)
    keypoints, descriptors = extractor.extract_from_uint8_array(_grey(photo.pixels))
    shapes = torch.from_numpy(np.array(pycolmap.keypoints_to_matrix(keypoints), np.float32))
    if len(shapes) == 0:
        return Features(torch.zeros(0, 2), torch.zeros(0, 128, dtype=torch.uint8))
    found = torch.from_numpy(np.array(descriptors.data, np.uint8)).reshape(-1, 128)
    positions = shapes[:, :2] + torch.tensor([photo.left, photo.top])
    keep = belongs(photo, positions).nonzero()[:, 0]
    order = keep[_size(shapes[keep]).argsort(descending=True, stable=True)]
    return Features(positions[order], found[order])


def _size(shapes: Float[Tensor, "features numbers"]) -> Float[Tensor, " features"]:
    """Return how large features are: x, y, then scale and turn, or an affine matrix."""
    if shapes.shape[1] == 4:
        return shapes[:, 2]
    a, b, c, d = shapes[:, 2:6].unbind(-1)
    return (a * d - b * c).abs().sqrt()


def _grey(pixels: UInt8[Tensor, "rows columns 3"]) -> UInt8[np.ndarray, "rows columns"]:
    weights = torch.tensor([0.299, 0.587, 0.114])
    return (pixels.float() @ weights).round().to(torch.uint8).numpy()
