"""What a sparse model of COLMAP holds (https://colmap.github.io/format.html)."""

from dataclasses import dataclass

from jaxtyping import Float, Int64, UInt8
from torch import Tensor

CAMERA_MODELS = {
    "SIMPLE_PINHOLE": "f cx cy",
    "PINHOLE": "fx fy cx cy",
    "SIMPLE_RADIAL": "f cx cy k1",
    "RADIAL": "f cx cy k1 k2",
    "OPENCV": "fx fy cx cy k1 k2 p1 p2",
    "OPENCV_FISHEYE": "fx fy cx cy k1 k2 k3 k4",
    "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
    "FOV": "fx fy cx cy omega",
    "SIMPLE_RADIAL_FISHEYE": "f cx cy k1",
    "RADIAL_FISHEYE": "f cx cy k1 k2",
    "THIN_PRISM_FISHEYE": "fx fy cx cy k1 k2 p1 p2 k3 k4 sx1 sy1",
}
"""Names and the parameters in their order; a model's place is its number in binary files."""


@dataclass(frozen=True)
class ColmapCamera:
    """Intrinsics, which several images may share."""

    model: str
    """COLMAP's name, such as PINHOLE."""

    width: int
    """Columns of the photo."""

    height: int
    """Rows of the photo."""

    parameters: tuple[float, ...]
    """In COLMAP's order; for PINHOLE fx, fy, cx, cy in pixels, pixel centres at +0.5."""


@dataclass(frozen=True)
class ColmapImage:
    """One posed photo and where it sees points."""

    name: str
    """Path relative to the image folder."""

    camera_id: int
    """Key of its camera."""

    camera_from_world: Float[Tensor, "4 4"]
    """Rigid pose in float64, OpenCV axes."""

    xy: Float[Tensor, "observations 2"]
    """Observed positions in pixels, pixel centres at +0.5, float64."""

    point_ids: Int64[Tensor, " observations"]
    """The point seen at each position; -1 for none."""


@dataclass(frozen=True)
class ColmapPoints:
    """3D points with the images that see them."""

    ids: Int64[Tensor, " points"]
    """Keys, at least 1."""

    positions: Float[Tensor, "points 3"]
    """World coordinates in float64."""

    colors: UInt8[Tensor, "points 3"]
    """RGB."""

    errors: Float[Tensor, " points"]
    """Mean reprojection error in pixels, float64."""

    track_starts: Int64[Tensor, " points"]
    """Where each point's entries begin in `tracks`; they end where the next one's begin."""

    tracks: Int64[Tensor, "entries 2"]
    """Image key and index into the image's observations."""


@dataclass(frozen=True)
class ColmapModel:
    """A sparse reconstruction."""

    cameras: dict[int, ColmapCamera]
    """By camera key, at least 1."""

    images: dict[int, ColmapImage]
    """By image key, at least 1."""

    points: ColmapPoints
    """All points."""
