"""Panoramas of the whole sphere, split into faces that a pinhole camera could have seen.

A panorama is equirectangular: columns are longitudes, rows latitudes, and it is twice as wide as
high. Its own camera frame has OpenCV axes; the middle of the photo looks along z.
"""

import math
import re
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from fast3r.geometry.transforms import rotation_exp
from fast3r.views.decode import UnreadablePhotoError
from fast3r.views.undistort import Warp

NUM_FACES = 8
"""Round the horizon, one every 45 degrees. Of five panoramas of a procedural room the bundled
network placed all with these, three with six faces, none with four."""

FIELD_DEG = 90.0
"""Of a face, along both sides: neighbours share half of what they show."""

_ASPECT_TOLERANCE = 0.01

_PROJECTION = re.compile(rb"GPano:ProjectionType\s*(?:=\s*[\"']|>)\s*equirectangular", re.I)
"""Google's photo sphere metadata (XMP), as attribute or as element."""


@dataclass(frozen=True, eq=False)
class Face:
    """What part of a panorama a view shows."""

    name: str
    """Of the view: that of the panorama, then # and the face."""

    panorama: str
    """Path of the panorama relative to the input folder."""

    panorama_height: int
    """Rows of the panorama, upright."""

    panorama_width: int
    """Columns of the panorama, upright."""

    panorama_from_face: Float[Tensor, "3 3"]
    """Rotation from the camera frame of the face to that of the panorama, in float64."""

    side_px: int
    """Rows and columns of the face at full resolution."""

    @property
    def intrinsics(self) -> Float[Tensor, "3 3"]:
        """Of the face at full resolution, in float64."""
        focal_px = self.side_px / 2 / math.tan(math.radians(FIELD_DEG) / 2)
        half = self.side_px / 2
        return torch.tensor(
            [[focal_px, 0, half], [0, focal_px, half], [0, 0, 1]], dtype=torch.float64
        )

    def panorama_from_pixels(
        self, pixels: Float[Tensor, "*points 2"]
    ) -> Float[Tensor, "*points 2"]:
        """Return where the panorama shows what the face does at its full-size pixels."""
        unrolled = self._unrolled(pixels.double())
        wrapped = unrolled[..., 0] % self.panorama_width
        return torch.stack((wrapped, unrolled[..., 1]), dim=-1).to(pixels.dtype)

    @property
    def warp(self) -> Warp:
        """How the panorama is shown in the face."""
        identity = torch.eye(3, dtype=torch.float64)
        return Warp(self.side_px, self.side_px, identity, self._unrolled, wraps=True)

    def _unrolled(self, pixels: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 2"]:
        """Return pixels of the panorama that run on beyond its left and right edge."""
        matrix, turn = self.intrinsics, self.panorama_from_face
        x, y = ((pixels - matrix[:2, 2]) / matrix[0, 0]).unbind(-1)
        # Faces look at the horizon, so their longitudes add to that of their middle.
        longitude = torch.atan2(turn[0, 2], turn[2, 2]) + torch.atan(x)
        latitude = torch.atan2(y, torch.hypot(x, torch.ones_like(x)))
        column = (longitude / (2 * torch.pi) + 0.5) * self.panorama_width
        row = (latitude / torch.pi + 0.5) * self.panorama_height
        return torch.stack((column, row), dim=-1)


def faces_of(panorama: str, *, width: int, height: int) -> list[Face]:
    """Return the faces of a panorama to the right round the horizon, the first in its middle.

    Raises:
        UnreadablePhotoError: It is not twice as wide as high.
    """
    if abs(width / (2 * height) - 1) > _ASPECT_TOLERANCE:
        raise UnreadablePhotoError(
            "it is no equirectangular panorama of the whole sphere: those are twice as wide as "
            f"high, and it has {width}x{height} px"
        )
    pixels_per_radian = width / (2 * math.pi)
    side_px = round(2 * pixels_per_radian * math.tan(math.radians(FIELD_DEG) / 2))
    turns = torch.arange(NUM_FACES, dtype=torch.float64) * (2 * torch.pi / NUM_FACES)
    return [
        Face(f"{panorama}#face{number}", panorama, height, width, _turned(turn), side_px)
        for number, turn in enumerate(turns)
    ]


def says_panorama(image: Image.Image) -> bool:
    """Return whether the metadata of an opened photo calls it equirectangular."""
    xmp = image.info.get("xmp", b"")
    return _PROJECTION.search(xmp if isinstance(xmp, bytes) else str(xmp).encode()) is not None


def _turned(angle: Float[Tensor, ""]) -> Float[Tensor, "3 3"]:
    """Return the rotation that looks to the right by an angle."""
    return rotation_exp(torch.stack((torch.zeros_like(angle), angle, torch.zeros_like(angle))))
