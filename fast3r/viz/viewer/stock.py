"""The points of a scene that a page may draw, in an order of growing detail.

A scene of 300 photos has 60 million points, a browser shows some millions fluently. Of each view
evenly spread pixels are held ready, in an order of which every beginning is evenly spread too: to
draw more of a view is to go further in its order. Only pixels and their photo's colours are held;
points are lifted when they are drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int32, Int64, UInt8
from torch import Tensor

from fast3r.scene.reconstruction import Head, Reconstruction
from fast3r.scene.trusted_pixels import border
from fast3r.views.masking.sky import sky_mask
from fast3r.viz.viewer.settings import Filter

STOCK_POINTS = 8_000_000
"""Of all views together; 7 bytes each."""
_MAX_SLANT_DEG = 85.0
_MARGIN = 1


@dataclass(frozen=True)
class ViewStock:
    """Pixels of one view that may be drawn."""

    pixels: Int32[Tensor, " points"]
    """Counted row by row; every beginning is spread evenly."""

    colors: UInt8[Tensor, "points 3"]
    """Of the photo."""

    least_confidence: Float[Tensor, "101"]
    """Which confidence leaves out 0, 1, ... 100 % of the pixels that saw the scene."""

    density: float
    """Which share of the view's pixels was looked at."""


@dataclass(frozen=True)
class Chosen:
    """Points of one view that are drawn."""

    pixels: Int64[Tensor, " points"]
    """Counted row by row."""

    points: Float[Tensor, "points 3"]
    """In the world."""

    colors: UInt8[Tensor, "points 3"]
    """Of the photo."""

    spacing: Float[Tensor, " points"]
    """How far each lies from the next ones of this view, in world units."""

    density: float
    """Which share of the pixels that may be drawn these are."""

    def __len__(self) -> int:
        return len(self.pixels)


@lru_cache(maxsize=16)
def even_order(height: int, width: int) -> Int64[Tensor, " pixels"]:
    """Return all pixels of an image, counted row by row, so that every beginning is spread evenly.

    They are sorted by the fractional part of their position along a direction whose slopes are
    the powers of the plastic number's inverse (Roberts, 2018), which leaves neither lumps nor gaps.
    """
    x = torch.arange(width, dtype=torch.float64) * 0.7548776662466927
    y = torch.arange(height, dtype=torch.float64) * 0.5698402909980532
    return ((y[:, None] + x) % 1).flatten().argsort()


class Stocks:
    """The stock of each view, taken when first asked for."""

    def __init__(self, scene: Reconstruction, *, head: Head = "local") -> None:
        self._scene = scene
        self.head: Head = head
        """Whose confidence counts."""
        self.per_view = max(STOCK_POINTS // max(len(scene.registered), 1), 1)
        """Pixels that are looked at in each view."""
        self._stocks: dict[int, ViewStock] = {}
        self._skies: dict[int, Bool[Tensor, " points"]] = {}

    def of(self, index: int) -> ViewStock:
        """Return the stock of a view."""
        if index not in self._stocks:
            self._stocks[index] = take_stock(
                self._scene, index, head=self.head, max_pixels=self.per_view
            )
        return self._stocks[index]

    def sky(self, index: int) -> Bool[Tensor, " points"]:
        """Return which points of the stock of a view look like sky."""
        if index not in self._skies:
            self._skies[index] = sky_among(self._scene.views[index].pixels, self.of(index).pixels)
        return self._skies[index]


def take_stock(
    scene: Reconstruction,
    index: int,
    *,
    head: Head = "local",
    max_pixels: int | None = None,
) -> ViewStock:
    """Return which pixels of a registered view may be drawn, as `point_cloud` decides that.

    Args:
        scene: What to draw.
        index: Of the view.
        head: Whose confidence counts.
        max_pixels: Look only at so many, evenly spread.
    """
    height, width = scene.depth[index].shape
    looked_at = even_order(height, width)[:max_pixels]
    inner = (scene.valid(index) & ~border(height, width, width=_MARGIN)).flatten()[looked_at]
    facing = (scene.slant_deg(index) <= _MAX_SLANT_DEG).flatten()[looked_at]
    confidence = scene.confidence_of(index, head=head).flatten()[looked_at]
    inner &= confidence.isfinite()
    pixels = looked_at[inner & facing]
    return ViewStock(
        pixels=pixels.int(),
        colors=scene.views[index].pixels.flatten(0, 1)[pixels],
        least_confidence=_percentiles(confidence[inner]),
        density=len(looked_at) / (height * width),
    )


def sky_among(
    photo: UInt8[Tensor, "height width 3"], pixels: Int32[Tensor, " points"]
) -> Bool[Tensor, " points"]:
    """Return which of some pixels of a photo, counted row by row, look like sky."""
    return torch.from_numpy(sky_mask(photo.numpy())).flatten()[pixels.long()]


def choose(
    scene: Reconstruction,
    index: int,
    stock: ViewStock,
    wanted: Filter,
    count: int | None,
    *,
    sky: Bool[Tensor, " points"] | None = None,
    inside: Callable[[Tensor], Tensor] | None = None,
) -> Chosen:
    """Return the points of a view to draw, at most `count` and evenly spread.

    Args:
        scene: What to draw.
        index: Of the view.
        stock: Of the view, and of the head that is wanted.
        wanted: Which points may be drawn.
        count: At most so many; None is all.
        sky: Which points of the stock look like sky; left out if given.
        inside: Tells which points are in the box that is wanted.
    """
    confidence = scene.confidence_of(index, head=wanted.head).flatten()[stock.pixels.long()]
    keep = confidence >= stock.least_confidence[wanted.min_conf_percentile]
    if sky is not None:
        keep &= ~sky
    passed = keep.nonzero()[:, 0]
    if inside is None:
        chosen = passed[:count]
        points = scene.points_at(index, stock.pixels[chosen], head=wanted.head)
    else:
        points = scene.points_at(index, stock.pixels[passed], head=wanted.head)
        within = inside(points)
        passed, points = passed[within], points[within]
        chosen, points = passed[:count], points[:count]
    density = max(stock.density * len(chosen) / max(len(passed), 1), 1e-9)
    camera = scene.camera(index)
    distance = (points - camera.world_from_camera[:3, 3].float()).norm(dim=-1)
    spacing = distance / scene.network_focal_px(index) / density**0.5
    return Chosen(stock.pixels[chosen].long(), points, stock.colors[chosen], spacing, density)


def _percentiles(confidence: Float[Tensor, " pixels"]) -> Float[Tensor, "101"]:
    """Return the least confidence that stays, by the share in percent that is left out."""
    if len(confidence) == 0:
        return torch.zeros(101)
    rank = (torch.arange(101) * len(confidence) // 100).clamp(max=len(confidence) - 1)
    return confidence.sort().values[rank]
