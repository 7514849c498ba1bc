"""What stands still behind an object that was turned before a fixed camera, or is one plain colour.

A pixel belongs to the background of a photo if it has the colour that it has in most photos, and
hangs together with the border of the photo through such pixels. So parts of the object that have
one colour all round stay, as does what is seen through a handle.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt8

from fast3r.views.masking.regions import along_border, flooded, grown, shrunk

_MIN_PHOTOS = 5
"""With fewer, chance makes pixels look still."""

_MAX_PHOTOS = 24
"""Of so many, evenly chosen, the background is made."""

_OFTEN = 0.4
"""Share of the photos in which the background of a pixel must be seen to be known. On rendered
turntables less lost more of the object, more left more of the background."""

_MARGIN = 0.004
"""Share of the longer side by which outlines of the object are grown."""

_BITES = 0.02
"""Share of the longer side up to which gaps in the object are closed."""

_RING = 0.05
"""Width of the border, as a share of the photo's shorter side, by which the camera is judged."""

_MIN_STILL = 0.7
"""Share of the edges in that border that stay where they are: the table itself may cross the rest.
Surfaces between edges look alike also where the camera moves."""

_MIN_GAIN = 0.2
"""How much larger that share must be than where the background is shifted by a few pixels."""

_MIN_EDGES = 0.01
"""Share of that border that is edges; with fewer the backdrop is plain."""

_TOLERANCES = (12, 20)
"""Least and greatest difference, of 255, between two photos of one thing: noise and compression."""

Background = Callable[[UInt8[np.ndarray, "height width 3"]], Bool[np.ndarray, "height width"]]
"""Takes a photo and returns where it shows the background."""


def find_background(photos: Sequence[UInt8[np.ndarray, "height width 3"]]) -> Background:
    """Return what tells the background in each of a set of photos.

    Raises:
        ValueError: There are fewer than 5 photos, they differ in size, the camera has moved before
            a background that is not plain, or nothing has moved at all.
    """
    if len(photos) < _MIN_PHOTOS:
        raise ValueError(
            f"a turntable's background is told from at least {_MIN_PHOTOS} photos, got "
            f"{len(photos)}; paint masks with 'fast3r mask PHOTOS --output masks'"
        )
    chosen = np.unique(np.linspace(0, len(photos) - 1, _MAX_PHOTOS).round().astype(int))
    stack = [photos[index] for index in chosen]
    sizes = sorted({photo.shape[1::-1] for photo in stack})
    if len(sizes) > 1:
        raise ValueError(
            f"a fixed camera takes photos of one size, got {len(sizes)} sizes such as "
            f"{sizes[0][0]}x{sizes[0][1]} and {sizes[-1][0]}x{sizes[-1][1]}; "
            "remove the turntable's background from one set at a time"
        )
    tolerance = _tolerance(stack)
    still, agreeing = _still(np.stack(stack).astype(np.int16), tolerance)
    edges = [_edges(photo, 2 * tolerance) & _ring(photo) for photo in stack]
    if np.mean(edges) < _MIN_EDGES * _ring(stack[0]).mean():
        return _plain_backdrop(stack)
    share, by_chance = (_share_alike(stack, edges, c) for c in (still, np.roll(still, 9, (0, 1))))
    if share < _MIN_STILL or share < by_chance + _MIN_GAIN:
        raise ValueError(
            f"the camera was not fixed: along the border {share:.0%} of the edges stay where they "
            f"are ({by_chance:.0%} would by chance), {_MIN_STILL:.0%} are needed; nor is the "
            "backdrop plain. Paint masks with 'fast3r mask PHOTOS --output masks'"
        )
    if (agreeing < 0.9).mean() < 0.005:
        raise ValueError(
            "nothing turns in these photos: they are all alike, so that no object can be told "
            "from its background"
        )
    known = agreeing >= max(_OFTEN, 3 / len(stack))
    return lambda photo: _outside((_difference(photo, still) <= tolerance) & known)


def _still(
    stack: Int16[np.ndarray, "photos height width 3"], tolerance: float
) -> tuple[Float32[np.ndarray, "height width 3"], Float32[np.ndarray, "height width"]]:
    """Return the colour that each pixel has most often, and in which share of the photos.

    Not the median, which would be the object's where that covers a pixel in half of the photos.
    """
    most = np.zeros(stack.shape[1:3], np.int64)
    colour = np.zeros(stack.shape[1:], np.float32)
    for photo in stack:
        agrees = (np.abs(stack - photo) <= tolerance).all(-1)
        count = agrees.sum(0)
        better = count > most
        mean = np.einsum("phwc,phw->hwc", stack, agrees) / np.maximum(count, 1)[..., None]
        colour[better], most[better] = mean[better], count[better]
    return colour, (most / len(stack)).astype(np.float32)


def _share_alike(
    stack: Sequence[np.ndarray], edges: Sequence[np.ndarray], colour: np.ndarray
) -> float:
    """Return the share of the edges at which photos have a colour, within the noise of all."""
    tolerance = _tolerance(stack)
    alike = [(_difference(p, colour) <= tolerance)[e] for p, e in zip(stack, edges, strict=True)]
    return float(np.concatenate(alike).mean())


def _plain_backdrop(stack: Sequence[np.ndarray]) -> Background:
    """Return what tells a backdrop that has one colour along the border of each photo.

    Raises:
        ValueError: It has not.
    """
    most = _TOLERANCES[1]
    plain = np.mean([(_difference(p, _border_colour(p)) <= most)[_ring(p)].mean() for p in stack])
    if plain < _MIN_STILL:
        raise ValueError(
            f"the backdrop is blurred but not plain: along the border {plain:.0%} of the pixels "
            f"have one colour, {_MIN_STILL:.0%} are needed. Paint masks with "
            "'fast3r mask PHOTOS --output masks'"
        )
    return lambda photo: _outside(_difference(photo, _border_colour(photo)) <= most)


def _edges(photo: np.ndarray, step: float) -> Bool[np.ndarray, "height width"]:
    """Return where a colour changes by so much within two pixels."""
    padded = np.pad(photo.astype(np.int16), ((1, 1), (1, 1), (0, 0)), "edge")
    across = np.abs(padded[1:-1, 2:] - padded[1:-1, :-2])
    down = np.abs(padded[2:, 1:-1] - padded[:-2, 1:-1])
    return np.maximum(across, down).max(-1) > step


def _border_colour(photo: np.ndarray) -> Float32[np.ndarray, "3"]:
    return np.median(photo[_ring(photo)], axis=0).astype(np.float32)


def _outside(alike: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Return the pixels like the background that reach the border, short of the object's rim."""
    height, width = alike.shape
    # Single pixels that noise sets apart are no objects, and narrow gaps no way into one.
    alike = ~grown(shrunk(~alike, 1), 1)
    inner = flooded(shrunk(alike, 1), along_border(height, width, by=2))
    margin, bites = (max(round(share * max(height, width)), 1) for share in (_MARGIN, _BITES))
    kept = grown(~(grown(inner, 1) & alike), margin)
    gone = ~shrunk(grown(kept, bites), bites)
    return flooded(gone, along_border(height, width))


def _tolerance(stack: Sequence[np.ndarray]) -> float:
    """Return how much a still pixel differs between photos, told from the border of the photos."""
    steps = [_difference(a.astype(np.float32), b)[_ring(a)] for a, b in pairwise(stack)]
    return float(np.clip(2.5 * np.median(np.stack(steps)), *_TOLERANCES))


def _difference(photo: np.ndarray, colour: np.ndarray) -> Float32[np.ndarray, "height width"]:
    return np.abs(photo - colour).max(axis=-1)


def _ring(photo: np.ndarray) -> Bool[np.ndarray, "height width"]:
    height, width = photo.shape[:2]
    return along_border(height, width, by=max(round(_RING * min(height, width)), 1))
