"""How a photo becomes network size: one scale, a centred crop, padding, and the exact way back.

Coordinates are continuous: pixel centres are at +0.5, so a photo of width w covers [0, w].
Both axes share one scale, so nothing is ever stretched. "Content" is the part of the network
image that shows the photo; the rest is padding.
"""

from dataclasses import dataclass
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.views.decode import UnreadablePhotoError

_NARROWEST_ASPECT = Fraction(512, 160)
"""Long side over short side of the narrowest images that Fast3R was trained on."""

_MIN_CONTENT_PATCHES = 2
"""A photo that would fill fewer rows of patches than this is refused."""

_MIN_SHORT_SIDE_PX = 16
"""A photo with a shorter side is an icon, not a photo."""


@dataclass(frozen=True)
class Resize:
    """The map between a photo, turned upright, and its network image."""

    original_height: int
    """Rows of the photo."""

    original_width: int
    """Columns of the photo."""

    height: int
    """Rows of the network image."""

    width: int
    """Columns of the network image."""

    content_height: int
    """Rows of the network image that show the photo."""

    content_width: int
    """Columns of the network image that show the photo."""

    pitch: float
    """Photo pixels per network pixel, along both axes."""

    @property
    def padding(self) -> tuple[int, int]:
        """Network pixels left of and above the content."""
        return (self.width - self.content_width) // 2, (self.height - self.content_height) // 2

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the part of the photo that is shown, in photo pixels."""
        width = min(self.content_width * self.pitch, self.original_width)
        height = min(self.content_height * self.pitch, self.original_height)
        left, top = (self.original_width - width) / 2, (self.original_height - height) / 2
        # The sum may exceed the photo by one rounding error, which Pillow refuses.
        right, bottom = (
            min(left + width, self.original_width),
            min(top + height, self.original_height),
        )
        return left, top, right, bottom

    @property
    def original_from_network(self) -> Float[Tensor, "3 3"]:
        """Affine map of pixel coordinates from the network image to the photo."""
        (left, top, _, _), (pad_left, pad_top) = self.box, self.padding
        return torch.tensor(
            [
                [self.pitch, 0, left - pad_left * self.pitch],
                [0, self.pitch, top - pad_top * self.pitch],
                [0, 0, 1],
            ]
        )


def plan_resize(height: int, width: int, *, size: int = 512, patch: int = 16) -> Resize:
    """Return the resize that shows the most of a photo with sides that are multiples of `patch`.

    The long side becomes `size`; the short side becomes the nearest multiple, and what does not
    fit is cropped evenly from both ends. Photos narrower than the network has seen in training
    are padded evenly to its narrowest shape instead.

    Raises:
        UnreadablePhotoError: The photo is tiny, or so narrow that almost only padding would remain.
        ValueError: `size` is not a multiple of `patch`.
    """
    check_network_size(size, patch)
    long, short = max(height, width), min(height, width)
    _check_photo_size(height, width, size, patch)
    ideal = Fraction(short * size, long)
    network_short = max(_nearest_multiple(ideal, patch), _narrowest(size, patch))
    if _nearest_multiple(ideal, patch) == network_short:
        content_short = network_short
        pitch = min(Fraction(long, size), Fraction(short, network_short))
    else:
        content_short = int(ideal)
        pitch = Fraction(long, size)
    is_tall = height > width
    return Resize(
        original_height=height,
        original_width=width,
        height=size if is_tall else network_short,
        width=network_short if is_tall else size,
        content_height=size if is_tall else content_short,
        content_width=content_short if is_tall else size,
        pitch=float(pitch),
    )


def check_network_size(size: int, patch: int) -> None:
    """Accept a long side that the network can take.

    Raises:
        ValueError: `size` is not a positive multiple of `patch`, at least 4 patches.
    """
    if patch < 1 or size < 4 * patch or size % patch:
        below = max(size // max(patch, 1), 4) * max(patch, 1)
        raise ValueError(
            f"size must be a multiple of the patch ({patch} px), at least 4 patches; "
            f"got {size}, try {below}"
        )


def _check_photo_size(height: int, width: int, size: int, patch: int) -> None:
    long, short = max(height, width), min(height, width)
    max_aspect = size // (_MIN_CONTENT_PATCHES * patch)
    if long > max_aspect * short:
        raise UnreadablePhotoError(
            f"{width}x{height} px is too narrow: its sides are {long / max(short, 1):.1f}:1, "
            f"at most {max_aspect}:1 can be used"
        )
    if short < _MIN_SHORT_SIDE_PX:
        raise UnreadablePhotoError(
            f"{width}x{height} px is too small: the short side needs {_MIN_SHORT_SIDE_PX} px"
        )


def _nearest_multiple(length: Fraction, patch: int) -> int:
    """Return the multiple of `patch` that crops the smallest share of the photo.

    Rounding down crops the short side to `below / length`, rounding up the long side to
    `length / above`; the two are equal at the geometric mean.
    """
    below = int(length) // patch * patch
    above = below if below == length else below + patch
    return above if length * length > below * above else below


def _narrowest(size: int, patch: int) -> int:
    """Return the smallest short side, a multiple of `patch`, that the network has seen."""
    return -int(-size / _NARROWEST_ASPECT // patch) * patch
