"""Strategies: rotations, poses, similarities, cameras and names of all kinds."""

import math

import torch
from hypothesis import strategies as st
from torch import Tensor

from fast3r.geometry.transforms import Similarity, matrix_from_quaternion

_SHIFTS = st.floats(-50, 50, allow_nan=False)


def generators() -> st.SearchStrategy[torch.Generator]:
    """Return sources of random numbers."""
    return st.integers(0, 2**31).map(lambda seed: torch.Generator().manual_seed(seed))


@st.composite
def rotations(draw: st.DrawFn) -> Tensor:
    """Return a rotation in float64, often a quarter or half turn about an axis."""
    parts = draw(st.lists(st.floats(-1, 1), min_size=4, max_size=4))
    if math.hypot(*parts) < 0.1:
        parts = draw(st.sampled_from([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, -1]]))
    return matrix_from_quaternion(torch.tensor(parts, dtype=torch.float64))


@st.composite
def poses(draw: st.DrawFn) -> Tensor:
    """Return a rigid transform in float64."""
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = draw(rotations())
    pose[:3, 3] = torch.tensor(draw(st.lists(_SHIFTS, min_size=3, max_size=3)))
    return pose


@st.composite
def similarities(draw: st.DrawFn) -> Similarity:
    """Return a similarity in float64, with a scale from a hundredth to a hundred."""
    scale = torch.tensor(10 ** draw(st.floats(-2, 2)), dtype=torch.float64)
    shift = torch.tensor(draw(st.lists(_SHIFTS, min_size=3, max_size=3)), dtype=torch.float64)
    return Similarity(scale, draw(rotations()), shift)


@st.composite
def intrinsics(draw: st.DrawFn, height: int = 48, width: int = 64) -> Tensor:
    """Return intrinsics in float64 with unequal focal lengths, skew, and an odd principal point."""
    fx, fy = draw(st.floats(20, 400)), draw(st.floats(20, 400))
    cx, cy = draw(st.floats(0, width)), draw(st.floats(0, height))
    skew = draw(st.sampled_from([0.0, 0.0, 3.0]))
    return torch.tensor([[fx, skew, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)


def names() -> st.SearchStrategy[str]:
    """Return names of photos: any letters, spaces, quotes, dots and folders."""
    # COLMAP's binary files end a name at a zero byte; file systems have no names with one.
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    odd = st.sampled_from(
        ["a b.jpg", '"q".jpg', "it's.png", "день/写真 1.jpg", "#1.jpg", "a\nb", "%s"]
    )
    return st.one_of(odd, st.text(letters, min_size=1, max_size=20))
