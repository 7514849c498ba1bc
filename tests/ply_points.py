"""Reads a point cloud as PLY, as `scene.ply` is promised to be."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

HEADER = """ply
format binary_little_endian 1.0
element vertex {count}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
property float confidence
end_header
"""


class PlyPoints(NamedTuple):
    """The points of a file, in its order."""

    points: Tensor
    colors: Tensor
    confidence: Tensor


def read_points(path: Path) -> PlyPoints:
    """Return what a file holds that has exactly this header, and nothing after its points."""
    header, end, body = path.read_bytes().partition(b"end_header\n")
    rows = np.frombuffer(body, "(3,)<f4, (3,)u1, <f4")
    assert (header + end).decode() == HEADER.format(count=len(rows))
    columns = (rows[name].copy() for name in rows.dtype.names or ())
    return PlyPoints(*map(torch.from_numpy, columns))
