"""The panel beside the scene: its controls, and the settings that they say."""

import math
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fast3r.scene.reconstruction import Head, Reconstruction
from fast3r.viz.coloring import COLOR_BY
from fast3r.viz.viewer.cropping import Crop
from fast3r.viz.viewer.pace import FIRST_MILLIONS
from fast3r.viz.viewer.settings import SPANS, Filter, Settings, parse_places
from fast3r.viz.viewer.stock import STOCK_POINTS
from fast3r.viz.viewer.survey import Survey

if TYPE_CHECKING:
    from viser import GuiApi

HEADS: dict[str, Head] = {
    "depth (local head)": "local",
    "world pointmaps (global head)": "world",
}
RATES = (0.25, 60.0)
"""Slowest and fastest playback in photos per second."""


class PointControls:
    """Which points are drawn, and how."""

    def __init__(self, gui: "GuiApi", scene: Reconstruction) -> None:
        with gui.add_folder("Points"):
            self.color_by = gui.add_dropdown("Colour by", COLOR_BY)
            self.percentile = gui.add_slider(
                "Hide unsure %",
                0,
                99,
                1,
                30,
                hint="Share of each photo's points, the least sure ones, that is left out",
            )
            self.size = gui.add_slider("Point size", 0.1, 4.0, 0.1, 1.0)
            most = STOCK_POINTS / 1e6
            self.millions = gui.add_slider(
                "Millions drawn", 0.1, most, 0.1, FIRST_MILLIONS, hint="Fewer are more fluent"
            )
            self.head = gui.add_dropdown(
                "From", tuple(HEADS), visible=scene.world_pointmaps is not None
            )
            self.mask_sky = gui.add_checkbox("Mask sky", False)


class PhotoControls:
    """Which photos are shown, and which one is the current one."""

    def __init__(self, gui: "GuiApi", scene: Reconstruction, survey: Survey) -> None:
        self._names = [view.name for _, view, _ in scene.posed_views()]
        count = len(self._names)
        with gui.add_folder("Photos"):
            self.span = gui.add_dropdown("Show", SPANS)
            self.current = gui.add_slider("Photo", 1, max(count, 2), 1, 1, disabled=count == 1)
            self.name = gui.add_markdown("")
            self.step = gui.add_button_group("Step", ("◀", "▶"))
            self.playing = gui.add_checkbox("Play", False)
            self.rate = gui.add_slider("Photos a second", *RATES, 0.25, 4.0)
            self.look = gui.add_checkbox("Look through it", False)
            self.opacity = gui.add_slider("Photo opacity %", 0, 100, 5, 50)
            self.cameras = gui.add_checkbox("Cameras", True)
            self.camera_size = gui.add_slider("Camera size", 0.1, 5.0, 0.1, 1.0)
            self.overview = gui.add_button("Overview", hint="See the whole scene again")
        with gui.add_folder("Hide photos", expand_by_default=False):
            self.toggle = gui.add_button("Hide or show this photo")
            self.hidden = gui.add_text("Hidden", "", hint="Numbers such as 3, 7-12")
            least, most = min(survey.sureness), max(survey.sureness)
            # Rounded for reading, so that the least sure photo is not hidden by it.
            low, high = math.floor(100 * least) / 100, math.ceil(100 * most) / 100 + 0.01
            self.sure_from = gui.add_slider(
                "Hide photos below",
                low,
                high,
                0.01,
                low,
                hint="Hides photos whose median confidence is lower",
            )

    @property
    def count(self) -> int:
        """How many photos there are."""
        return len(self._names)

    @property
    def place(self) -> int:
        """Place of the current photo, from 0."""
        return min(self.current.value, self.count) - 1

    def go_to(self, place: int) -> None:
        """Make another photo the current one; after the last comes the first."""
        self.current.value = place % self.count + 1

    def tell_name(self) -> None:
        """Show which photo is the current one."""
        name = PurePosixPath(self._names[self.place]).name
        self.name.content = f"`{name}` ({self.place + 1} of {self.count})"


class Controls:
    """All controls that say what is shown."""

    def __init__(self, gui: "GuiApi", scene: Reconstruction, survey: Survey) -> None:
        self.status = gui.add_markdown("")
        self.points = PointControls(gui, scene)
        self.photos = PhotoControls(gui, scene, survey)
        self.crop = Crop(gui, survey)

    def settings(self) -> Settings:
        """Return what the controls say.

        Raises:
            ValueError: The list of hidden photos cannot be read.
        """
        points, photos = self.points, self.photos
        wanted = Filter(
            head=HEADS[points.head.value],
            min_conf_percentile=points.percentile.value,
            mask_sky=points.mask_sky.value,
            crop=self.crop.box,
        )
        return Settings(
            filter=wanted,
            max_points=round(points.millions.value * 1e6),
            color_by=points.color_by.value,
            point_size=points.size.value,
            cameras=photos.cameras.value,
            camera_size=photos.camera_size.value,
            span=photos.span.value,
            current=photos.place,
            hidden=parse_places(photos.hidden.value, photos.count),
            sure_from=photos.sure_from.value,
        )
