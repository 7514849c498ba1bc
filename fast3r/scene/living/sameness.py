"""Which views are of one photo: equal pixels, whatever their names."""

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from fast3r.geometry.cameras import pixels_through
from fast3r.views.view import View

_THUMBNAIL_PX = 16
# Copies of one photo at 64 to 512 px differed by 2.3 at most, in 17 sets; other photos, but for
# neighbouring frames of a video, by 4 and more.
_SAME_LEVELS = 3.0

_Size = tuple[int, int]


def shared_photos(some: Sequence[View], others: Sequence[View]) -> list[tuple[int, int]]:
    """Return the pairs of views that are of one photo, each view in one pair at most.

    Photos are one if their pixels are equal. If they were loaded in different ways, their files
    have to be equal; where a file is gone, their names, and what they show at 16 pixels across.
    """
    theirs = {pixel_key(view): j for j, view in reversed(list(enumerate(others)))}
    pairs: dict[int, int] = {}
    for i, view in enumerate(some):
        j = theirs.pop(pixel_key(view), None)
        if j is not None:
            pairs[i] = j
    taken = set(pairs.values())
    free = [j for j in range(len(others)) if j not in taken]
    for i in (i for i in range(len(some)) if i not in pairs):
        found = next((j for j in free if _one_loaded_twice(some[i], others[j])), None)
        if found is not None:
            free.remove(found)
            pairs[i] = found
    return sorted(pairs.items())


def pixel_key(view: View) -> tuple[_Size, _Size, str]:
    """Return what is equal for views of one photo that were loaded at one size."""
    content = hashlib.sha256(view.pixels.contiguous().numpy().tobytes()).hexdigest()
    return _original_size(view), (view.height, view.width), content


def _one_loaded_twice(view: View, other: View) -> bool:
    if _original_size(view) != _original_size(other):
        return False
    if (view.height, view.width, view.lens) == (other.height, other.width, other.lens):
        return False  # Their pixels have told them apart.
    if _frame_of(view) != _frame_of(other):
        return False
    if all(v.source is not None and v.source.is_file() for v in (view, other)):
        return _have_equal_files(view, other)
    return view.name == other.name and _difference(view, other) < _SAME_LEVELS


def _original_size(view: View) -> _Size:
    return view.original_height, view.original_width


def _frame_of(view: View) -> tuple[float | None, str | None]:
    """Return what tells apart the views of one file: frames of a video, faces of a panorama."""
    return view.time_s, view.face and view.face.name


def _have_equal_files(view: View, other: View) -> bool:
    assert view.source is not None
    assert other.source is not None
    if view.source.stat().st_size != other.source.stat().st_size:
        return False
    return view.source.samefile(other.source) or (
        view.source.read_bytes() == other.source.read_bytes()
    )


def _difference(view: View, other: View) -> float:
    """Return how far apart the colours of two views are in the mean, in levels of 255.

    At 16 pixels across what both show of the original photo, since crops depend on the size.
    """
    bounds = torch.stack([_shown(view), _shown(other)])
    common = torch.stack((bounds[:, 0].amax(dim=0), bounds[:, 1].amin(dim=0)))
    one, another = (_thumbnail(v, common) for v in (view, other))
    return 255 * (one - another).abs().mean().item()


def _shown(view: View) -> Float[Tensor, "2 2"]:
    """Return the top left and the bottom right corner of a view in its original photo."""
    corners = torch.tensor([[0.0, 0.0], [view.width, view.height]])
    return pixels_through(view.original_from_network, corners).sort(dim=0).values


def _thumbnail(view: View, bounds: Float[Tensor, "2 2"]) -> Float[Tensor, "3 rows columns"]:
    corners = pixels_through(view.original_from_network.inverse(), bounds)
    (left, top), (right, bottom) = corners.sort(dim=0).values.round().int().tolist()
    part = view.image[None, :, max(top, 0) : bottom, max(left, 0) : right]
    return interpolate(part, (_THUMBNAIL_PX, _THUMBNAIL_PX), mode="area")[0]
