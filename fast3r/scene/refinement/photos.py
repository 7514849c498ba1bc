"""The photos of a scene at the size that features are looked for.

Working pixels are those of the photo, or the ideal ones where its lens is known, divided by one
number, its pitch; centres lie at +0.5.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from fast3r.geometry.cameras import pixel_grid, pixels_through
from fast3r.views.fitting import fit_view
from fast3r.views.photos import read_again
from fast3r.views.turning import quarter_turns, turned
from fast3r.views.view import View

_RIM_PX = 2
"""Network pixels beside a mask in which the resizing of the photo may have left some of what it
hides: half of one that is mostly kept, and the reach of the filter."""

USUAL_FOCAL = 1.2
"""Focal length over the longer side, where nothing tells it; COLMAP's guess."""


@dataclass(frozen=True)
class WorkingPhoto:
    """A photo as features are looked for in it, with its size and camera."""

    pixels: UInt8[Tensor, "rows columns 3"]
    """RGB; all of the photo or a crop of it."""

    masks: tuple[View, ...]
    """Views of the same photo, whose masks say what belongs to the scene."""

    left: float
    """Working position of the crop's left edge."""

    top: float
    """Working position of the crop's upper edge."""

    pitch: float
    """Original pixels per working pixel."""

    height: int
    """Rows of the whole photo in working pixels."""

    width: int
    """Columns of the whole photo in working pixels."""

    camera: tuple[str | None, int, int]
    """Photos that agree in this share their intrinsics: EXIF camera, or known ones, and size."""

    focal_px: float
    """Of both axes, in working pixels: what is known or EXIF says, else a guess."""

    focal_is_told: bool
    """Whether it is no guess."""

    intrinsics: Float[Tensor, "3 3"] | None = None
    """Those that are known, in working pixels and float64."""


def working_photo(
    view: View,
    larger: View | None,
    *,
    max_side_px: int,
    intrinsics: Float[Tensor, "3 3"] | None = None,
) -> WorkingPhoto:
    """Return the photo of a view, from the best pixels at hand.

    Args:
        view: As the network saw it.
        larger: The same photo at a larger size. Without it the file that the view came from is
            read; where that is gone, the network's own pixels are taken.
        max_side_px: Longest side at which features are looked for.
        intrinsics: Those that are known, in pixels of the original photo; by default those that
            the view was made with.
    """
    size = min(max_side_px, max(view.original_height, view.original_width))
    best = larger or read_again(view, size=size) or turned(view, -quarter_turns(view))
    best = fit_view(best, size=size, patch=1)
    affine = best.original_from_network.double()
    pitch = affine[0, 0].item()
    height, width = round(view.original_height / pitch), round(view.original_width / pitch)
    focal_px, key = view.exif_focal_px, view.camera_key
    known = view.known_intrinsics if intrinsics is None else intrinsics
    if known is not None:
        focal_px, key = known[:2, :2].det().sqrt().item(), str(known.tolist())
        known = torch.diag(known.new_tensor([1 / pitch, 1 / pitch, 1])) @ known
    photo = WorkingPhoto(
        pixels=best.pixels,
        masks=(best,) if best is view else (best, view),
        left=affine[0, 2].item() / pitch,
        top=affine[1, 2].item() / pitch,
        pitch=pitch,
        height=height,
        width=width,
        camera=(key, height, width),
        focal_px=USUAL_FOCAL * max(height, width) if focal_px is None else focal_px / pitch,
        focal_is_told=focal_px is not None,
        intrinsics=known,
    )
    return photo if all(v.mask is None for v in photo.masks) else _without_hidden(photo)


def belongs(photo: WorkingPhoto, positions: Float[Tensor, "points 2"]) -> Bool[Tensor, " points"]:
    """Return which working positions belong to the scene, by all masks of the photo."""
    inside = torch.ones(len(positions), dtype=torch.bool)
    for view in photo.masks:
        mask = view.mask
        if mask is not None:
            column, row, known = network_pixels(view, positions * photo.pitch)
            inside &= _short_of_the_rim(mask)[row, column] | ~known
    return inside


def _short_of_the_rim(mask: Bool[Tensor, "height width"]) -> Bool[Tensor, "height width"]:
    """Return a mask without the pixels next to what it hides, which may show some of that."""
    hidden = (~mask)[None].float()
    return max_pool2d(hidden, 2 * _RIM_PX + 1, stride=1, padding=_RIM_PX)[0] == 0


def _without_hidden(photo: WorkingPhoto) -> WorkingPhoto:
    """Return a photo in which the colours around fade into what does not belong to the scene.

    So that it has no features, lends none of its looks to features beside it, and takes no room
    among the largest.
    """
    rows, columns = photo.pixels.shape[:2]
    positions = pixel_grid(rows, columns).flatten(0, 1) + torch.tensor([photo.left, photo.top])
    weight = belongs(photo, positions).view(1, 1, rows, columns).float()
    levels = [(photo.pixels.permute(2, 0, 1)[None].float() * weight, weight)]
    while max(levels[-1][1].shape) > 1:
        colour, weight = (avg_pool2d(part, 2, ceil_mode=True) for part in levels[-1])
        levels.append((colour, weight))
    filled = levels[-1][0]
    for colour, weight in reversed(levels):
        around = interpolate(filled, colour.shape[-2:], mode="bilinear")
        filled = (colour / weight).where(weight > 0, around)
    return replace(photo, pixels=filled[0].permute(1, 2, 0).round().byte())


def network_pixels(
    view: View, original: Float[Tensor, "points 2"]
) -> tuple[Tensor, Tensor, Bool[Tensor, " points"]]:
    """Return column and row of the network pixel at each original position, and if there is one."""
    network = pixels_through(view.network_from_original, original.double()).floor().long()
    limit = torch.tensor([view.width, view.height])
    known = ((network >= 0) & (network < limit)).all(dim=-1)
    column, row = network.clamp(min=0).minimum(limit - 1).unbind(-1)
    return column, row, known
