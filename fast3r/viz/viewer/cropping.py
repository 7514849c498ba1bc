"""Cropping: an upright box of which only the inside is shown."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from fast3r.viz.viewer.settings import Box
from fast3r.viz.viewer.survey import Survey

if TYPE_CHECKING:
    from viser import GuiApi, SceneApi

_AXES = ("across", "along", "up")
_NODE = "/crop"
# Of a box whose corner k is the high one along axis j where bit j of k is set.
_EDGES = [(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit]


class Crop:
    """The controls of the box, and its edges in the page."""

    def __init__(self, gui: "GuiApi", survey: Survey) -> None:
        self._survey = survey
        with gui.add_folder("Crop", expand_by_default=False):
            self.on = gui.add_checkbox("Crop to a box", False)
            self.ranges = [
                gui.add_multi_slider(name, low, high, (high - low) / 200, (low, high))
                for name, low, high in zip(_AXES, *survey.extent, strict=True)
            ]
            self.reset = gui.add_button("Whole scene")

    @property
    def box(self) -> Box | None:
        """The box that is chosen."""
        if not self.on.value:
            return None
        (x0, x1), (y0, y1), (z0, z1) = (ranges.value for ranges in self.ranges)
        return Box((x0, y0, z0), (x1, y1, z1))

    def open_up(self) -> None:
        """Make the box as large as the scene."""
        for ranges, *ends in zip(self.ranges, *self._survey.extent, strict=True):
            ranges.value = tuple(ends)

    def draw(self, scene_api: "SceneApi") -> None:
        """Draw the edges of the box, if one is chosen."""
        scene_api.remove_by_name(_NODE)
        box = self.box
        if box is None:
            return
        bounds = torch.tensor([box.low, box.high])
        corners = torch.stack([bounds[[k & 1, k >> 1 & 1, k >> 2], [0, 1, 2]] for k in range(8)])
        world = self._survey.world(corners)
        lines = world[torch.tensor(_EDGES)].numpy()
        scene_api.add_line_segments(
            _NODE, lines, np.array((90, 90, 90)), thickness=1.5, thickness_units="screen"
        )
