"""Photos as the network sees them, with the way back to the pixels of the original files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from fast3r.geometry.lenses import Lens
from fast3r.views.panorama import Face

VIDEO_PREFIX = "video|"
"""Of the camera key of frames."""


@dataclass(frozen=True)
class SkippedPhoto:
    """A photo that was left out before the network saw it."""

    name: str
    """Path relative to the input folder."""

    reason: str
    """Why, in words for the user."""


@dataclass(frozen=True, eq=False)
class View:
    """One photo or video frame at network size."""

    pixels: UInt8[Tensor, "height width 3"]
    """RGB at network size."""

    original_from_network: Float[Tensor, "3 3"]
    """Affine map of pixel coordinates (centres at +0.5) from this image to the original one; with
    a lens, to the ideal pixels that it bends."""

    name: str
    """Path relative to the input folder, with forward slashes; unique within a set."""

    original_height: int
    """Rows of the original photo, after EXIF orientation."""

    original_width: int
    """Columns of the original photo, after EXIF orientation."""

    mask: Bool[Tensor, "height width"] | None = None
    """True where the pixel belongs to the scene; None means everywhere."""

    source: Path | None = None
    """File that the view was read from."""

    camera_key: str | None = None
    """EXIF make, model, lens and zoom, or the video.

    Views of equal key and size share intrinsics.
    """

    exif_focal_px: float | None = None
    """Focal length told by EXIF, in pixels of the original photo."""

    time_s: float | None = None
    """Seconds: since the epoch for photos, since the start for video frames."""

    gps: tuple[float, float, float] | None = None
    """Latitude and longitude in degrees, altitude in metres (NaN where not told)."""

    lens: Lens | None = None
    """The known lens of the original photo, where it bends straight lines: this image does not."""

    face: Face | None = None
    """Where this is part of a panorama; then the face at full resolution is the original photo."""

    @property
    def is_video_frame(self) -> bool:
        """Whether the source is a video, which holds other frames too."""
        return (self.camera_key or "").startswith(VIDEO_PREFIX)

    @property
    def known_intrinsics(self) -> Float[Tensor, "3 3"] | None:
        """Ideal pixels from rays in float64, where the way that the view was made tells them."""
        if self.face is not None:
            return self.face.intrinsics
        return None if self.lens is None else self.lens.intrinsics

    @property
    def network_from_original(self) -> Float[Tensor, "3 3"]:
        """The way back from the original photo, in float64."""
        return self.original_from_network.double().inverse()

    @property
    def height(self) -> int:
        """Rows at network size."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Columns at network size."""
        return self.pixels.shape[1]

    @property
    def image(self) -> Float[Tensor, "3 height width"]:
        """RGB in [0, 1], as the network takes it."""
        return self.pixels.permute(2, 0, 1).to(torch.float32) / 255


class Views(Sequence[View]):
    """Views in input order, and the photos that could not be read."""

    def __init__(self, views: Iterable[View], skipped: Iterable[SkippedPhoto] = ()) -> None:
        self._views = list(views)
        self.skipped = list(skipped)
        """Photos left out, with the reason of each."""

    @overload
    def __getitem__(self, index: int) -> View: ...
    @overload
    def __getitem__(self, index: slice) -> "Views": ...
    def __getitem__(self, index: int | slice) -> "View | Views":
        """Return one view, or a selection that remembers the photos left out."""
        if isinstance(index, slice):
            return Views(self._views[index], self.skipped)
        return self._views[index]

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        return f"Views({len(self)} views, {len(self.skipped)} photos skipped)"
