"""The points of each view that are drawn, chosen from its stock, with their colours."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.coloring import ColorBy
from fast3r.viz.viewer.coloring import colors_of
from fast3r.viz.viewer.settings import Box, Filter
from fast3r.viz.viewer.stock import Chosen, Stocks, choose, sky_among, take_stock
from fast3r.viz.viewer.survey import Survey

_MOST_POINTS = 25_000_000
_GAP = 1.8
"""Points that lie at random need larger discs to leave no holes than points in a grid."""


@dataclass(frozen=True)
class Wanted:
    """What decides which points of a view are drawn."""

    filter: Filter
    """Which may be."""

    count: int
    """At most so many are."""


class Selection:
    """Chooses points, and remembers those of the views that are drawn."""

    def __init__(self, scene: Reconstruction, survey: Survey) -> None:
        self._scene, self._survey = scene, survey
        self._stocks = Stocks(scene)
        self._chosen: dict[int, tuple[Wanted, Chosen]] = {}

    def use(self, survey: Survey, wanted: Filter) -> None:
        """Choose from the head that is wanted, judged by its survey."""
        self._survey = survey
        if self._stocks.head != wanted.head:
            self._stocks = Stocks(self._scene, head=wanted.head)

    def chosen(self, place: int, wanted: Wanted) -> Chosen:
        """Return the points of a view that are drawn."""
        known = self._chosen.get(place)
        if known is None or known[0] != wanted:
            known = self._chosen[place] = (wanted, self._choose(place, wanted.filter, wanted.count))
        return known[1]

    def forget_all_but(self, places: set[int]) -> None:
        """Make room for views that are drawn in all detail."""
        self._chosen = {p: known for p, known in self._chosen.items() if p in places}

    def all_alike(self, place: int, wanted: Filter) -> Chosen:
        """Return all points of a view that may be drawn, however many these are."""
        return self._choose(place, wanted, None)

    def check_count(self, places: Iterable[int], wanted: Filter) -> None:
        """Make sure that all points of some views that may be drawn fit into memory.

        Raises:
            ValueError: They are too many.
        """
        pixels = sum(self._scene.depth[self._scene.registered[place]].numel() for place in places)
        count = pixels * (1 - wanted.min_conf_percentile / 100)
        if count > _MOST_POINTS and wanted.crop is None:
            raise ValueError(
                f"{count / 1e6:.0f} million points are too many for a browser; save fewer views, "
                "those in a box, not in full resolution, or with 'fast3r export'"
            )

    def spacing(self, place: int, chosen: Chosen) -> Float[Tensor, " points"]:
        """Return how far points lie from the next ones if all views are drawn as this one is."""
        thinned = (self._survey.density[place] / chosen.density) ** 0.5
        crowded = _GAP * thinned * self._survey.crowd.spacing(chosen.points)
        return torch.minimum(chosen.spacing, crowded)

    def colors(self, place: int, chosen: Chosen, color_by: ColorBy) -> UInt8[Tensor, "points 3"]:
        """Return the colours of chosen points."""
        head = self._stocks.head
        return colors_of(self._scene, place, chosen, color_by, self._survey, head=head)

    def cloud(self, place: int, chosen: Chosen, color_by: ColorBy) -> PointCloud:
        """Return chosen points with all that is known of them."""
        index = self._scene.registered[place]
        confidence = self._scene.confidence_of(index, head=self._stocks.head)
        return PointCloud(
            points=chosen.points,
            colors=self.colors(place, chosen, color_by),
            confidence=confidence.flatten()[chosen.pixels].float(),
            view_index=torch.full((len(chosen),), index),
            pixel=self._scene.original_pixels(index, chosen.pixels).float(),
        )

    def _choose(self, place: int, wanted: Filter, count: int | None) -> Chosen:
        index = self._scene.registered[place]
        sky = None
        if count is None or count > self._stocks.per_view:
            stock = take_stock(self._scene, index, head=wanted.head)
            if wanted.mask_sky:
                sky = sky_among(self._scene.views[index].pixels, stock.pixels)
        else:
            stock = self._stocks.of(index)
            if wanted.mask_sky:
                sky = self._stocks.sky(index)
        inside = None if wanted.crop is None else partial(self._inside, wanted.crop)
        return choose(self._scene, index, stock, wanted, count, sky=sky, inside=inside)

    def _inside(self, box: Box, points: Float[Tensor, "points 3"]) -> Bool[Tensor, " points"]:
        local = self._survey.local(points)
        low, high = torch.tensor(box.low), torch.tensor(box.high)
        return ((local >= low) & (local <= high)).all(dim=-1)
