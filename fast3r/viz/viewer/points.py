"""The points in the page: which nodes are there, and what they were made from.

Views are drawn in groups, since a browser that has to draw a thousand small nodes is slower than
one that has to draw a hundred large ones. A group is sent anew only if its points change, coloured
anew only while it is seen, and switched on and off for a few bytes otherwise.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from fast3r.export.html import PointNode, add_points
from fast3r.scene.point_cloud import PointCloud, concatenate
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.coloring import ColorBy
from fast3r.viz.viewer.selection import Selection, Wanted
from fast3r.viz.viewer.settings import Settings, shown
from fast3r.viz.viewer.stock import Chosen
from fast3r.viz.viewer.survey import Survey

if TYPE_CHECKING:
    from viser import SceneApi

_GROUPS = 32
_SIZE_STEP = 0.1
"""Sizes that differ by less, in logarithm, look the same."""


@dataclass
class _Group:
    """Some views as they are in the page, and what was wanted of them."""

    places: tuple[int, ...]
    wanted: Wanted
    color_by: ColorBy
    nodes: list[PointNode]
    alone: list[float]
    """For each node, how much larger its discs are where no other view fills the gaps."""
    visible: bool = True


class Points:
    """The points of all views of a scene in a page."""

    def __init__(self, scene_api: "SceneApi", scene: Reconstruction, survey: Survey) -> None:
        self._api = scene_api
        self._views = len(survey.sureness)
        self._selection = Selection(scene, survey)
        self._groups: dict[int, _Group] = {}

    def draw(self, settings: Settings, survey: Survey) -> Iterator[tuple[int, ...]]:
        """Make the page show what was chosen, some views at a time; yields the places of these.

        What is there and not wanted goes first.
        """
        self._selection.use(survey, settings.filter)
        places = shown(settings, survey.sureness)
        usual = max(settings.max_points // self._views, 1)
        wanted = Wanted(settings.filter, usual)
        if settings.span == "only this photo":
            wanted = Wanted(settings.filter, settings.max_points)
            self._selection.forget_all_but(set(places))
        together = self._grouped(places)
        for key in self._groups.keys() - together.keys():
            self._hide(key, usual)
        for key, members in together.items():
            self._show(key, members, wanted, settings, len(places) / self._views)
            yield members

    def visible(self) -> dict[int, Chosen]:
        """Return the points that are seen of each view, by its place."""
        seen = [group for _, group in sorted(self._groups.items()) if group.visible]
        return {p: self._selection.chosen(p, g.wanted) for g in seen for p in g.places}

    def cloud(self, settings: Settings, *, all_pixels: bool = False) -> PointCloud:
        """Return what is seen as one cloud, in the colours in which it is seen.

        Args:
            settings: What the page shows.
            all_pixels: Not only the points that were sent to the page, but all of their kind.

        Raises:
            ValueError: No point is seen, or all of their kind are too many.
        """
        seen, select = self.visible(), self._selection
        if all_pixels:
            select.check_count(seen, settings.filter)
            seen = {place: select.all_alike(place, settings.filter) for place in seen}
        clouds = [select.cloud(p, chosen, settings.color_by) for p, chosen in seen.items()]
        if sum(map(len, clouds)) == 0:
            raise ValueError("no point is shown; show more views, or lower the confidence limit")
        return concatenate(clouds)

    def _grouped(self, places: list[int]) -> dict[int, tuple[int, ...]]:
        size = -(-self._views // _GROUPS)
        return {
            key: tuple(p for p in places if p // size == key)
            for key in sorted({p // size for p in places})
        }

    def _show(
        self,
        key: int,
        places: tuple[int, ...],
        wanted: Wanted,
        settings: Settings,
        share: float,
    ) -> None:
        """Draw a group of which there is nothing, or something else, or that is switched off.

        Args:
            key: Of the group.
            places: Its views that are wanted.
            wanted: Which of their points.
            settings: How they are wanted.
            share: Which part of all views is drawn.
        """
        group = self._groups.get(key)
        if group is None or (group.places, group.wanted) != (places, wanted):
            group = self._groups[key] = self._added(key, places, wanted, settings.color_by)
        if group.color_by != settings.color_by:
            colors = self._colors(places, wanted, settings.color_by)
            for node in group.nodes:
                node.handle.colors = colors[node.members].numpy()
            group.color_by = settings.color_by
        for node, alone in zip(group.nodes, group.alone, strict=True):
            size = min(alone, share**-0.5) * settings.point_size
            # Not in every step of a playback.
            if abs(math.log(node.handle.point_size / (size * node.radius))) > _SIZE_STEP:
                node.handle.point_size = size * node.radius
            node.handle.visible = True
        group.visible = True

    def _hide(self, key: int, usual_count: int) -> None:
        """Switch a group off; a view drawn alone, in all detail, would fill the browser."""
        group = self._groups[key]
        group.visible = False
        if group.wanted.count > usual_count:
            del self._groups[key]
        for node in group.nodes:
            if group.wanted.count > usual_count:
                node.handle.remove()
            else:
                node.handle.visible = False

    def _added(
        self, key: int, places: tuple[int, ...], wanted: Wanted, color_by: ColorBy
    ) -> _Group:
        """Send points to the page, in place of those of the group that are there."""
        before = self._groups.pop(key, None)
        chosen = [self._selection.chosen(place, wanted) for place in places]
        spacings = [self._selection.spacing(p, c) for p, c in zip(places, chosen, strict=True)]
        spacing = torch.cat(spacings)
        points = torch.cat([c.points for c in chosen])
        colors = self._colors(places, wanted, color_by)
        nodes = add_points(self._api, f"/points/{key}", points, colors, spacing)
        # The first of the old nodes have been replaced by new ones of their name.
        for node in before.nodes[len(nodes) :] if before else []:
            node.handle.remove()
        own = torch.cat([c.spacing for c in chosen]) / spacing
        alone = [own[node.members].median().item() for node in nodes]
        return _Group(places, wanted, color_by, nodes, alone)

    def _colors(self, places: tuple[int, ...], wanted: Wanted, color_by: ColorBy) -> torch.Tensor:
        chosen = [(place, self._selection.chosen(place, wanted)) for place in places]
        return torch.cat([self._selection.colors(p, c, color_by) for p, c in chosen])
