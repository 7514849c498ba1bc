"""`fast3r.show`: a scene as a page that a browser opens."""

import atexit
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.export.html import stand_back, start_server, stop_server
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Head, Reconstruction
from fast3r.viz.addresses import free_port, is_local, page_address
from fast3r.viz.viewer.cameras import Cameras
from fast3r.viz.viewer.coloring import legend_of
from fast3r.viz.viewer.controls import Controls
from fast3r.viz.viewer.measuring import Measure
from fast3r.viz.viewer.messages import Messages
from fast3r.viz.viewer.pace import Pace
from fast3r.viz.viewer.playback import Playback
from fast3r.viz.viewer.points import Points
from fast3r.viz.viewer.saving import Saving, scene_in_scale
from fast3r.viz.viewer.settings import Settings, format_places
from fast3r.viz.viewer.survey import judged_by, survey

if TYPE_CHECKING:
    from viser import ClientHandle

DEFAULT_PORT = 8080


def show(scene: Reconstruction, *, host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> "Viewer":
    """Show a scene in a page and print its address; the page lives as long as this program.

    At the end of a script, `show(scene).wait()` keeps it alive until Ctrl-C.

    Args:
        scene: What to show.
        host: Where to listen; "0.0.0.0" lets other machines in.
        port: Where to listen; if it is taken, or 0, a free one is.

    Raises:
        ValueError: No view has a camera, or host or port cannot be used.
        ImportError: viser is not installed.
    """
    viewer = Viewer(scene, host=host, port=port)
    print(viewer.url, flush=True)
    return viewer


class Viewer:
    """A page that shows a scene; its controls can be set from Python, too."""

    def __init__(
        self, scene: Reconstruction, *, host: str = "127.0.0.1", port: int = DEFAULT_PORT
    ) -> None:
        self._scene = scene
        self._base = self._survey = survey(scene)
        self._head: Head = "local"
        self._server = start_server(host=host, port=free_port(host, port))
        self._host = host
        self._stale, self._lock = threading.Event(), threading.Lock()
        self._stopped = threading.Event()
        stand_back(self._server, scene, self._base.cloud, self._base.frame)
        gui = self._server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.set_panel_label("fast3r")
        self.messages = Messages(self._server)
        self.controls = Controls(gui, scene, self._base)
        self.measure = Measure(
            self._server,
            self._base,
            self.messages,
            self._visible_points,
            scene.scale,
            self.refresh,
        )
        self.saving = Saving(gui, self.messages, lambda: self.scene, self.cloud)
        self._points = Points(self._server.scene, scene, self._base)
        self._cameras = Cameras(self._server, scene, self._base)
        self._playback = Playback(self._play_on, lambda: self.controls.photos.rate.value)
        self._connect()
        self._pace = Pace(
            self._server,
            self.controls.points.millions,
            self.messages,
            self.refresh,
            most_points=sum(scene.depth[i].numel() for i in scene.registered),
        )
        # A thread that is at work when the interpreter goes would bring it down.
        atexit.register(self.stop)
        threading.Thread(target=self._begin, daemon=True).start()

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        return page_address(self._host, self.port)

    @property
    def port(self) -> int:
        """Where the page is; another than was asked for if that was taken."""
        return self._server.get_port()

    @property
    def is_local(self) -> bool:
        """Whether only this machine can open the page."""
        return is_local(self._host)

    @property
    def scene(self) -> Reconstruction:
        """The scene, in the scale that was set in the page."""
        return scene_in_scale(self._scene, self.measure.factor, self.measure.scale)

    def cloud(self, *, all_pixels: bool = False) -> PointCloud:
        """Return the points that are shown, in the scale that was set in the page.

        Args:
            all_pixels: Not only those that were sent to the page, but all that pass the filters.

        Raises:
            ValueError: No point is shown.
        """
        self.refresh()
        with self._lock:
            cloud = self._points.cloud(self.controls.settings(), all_pixels=all_pixels)
        return _resized(cloud, self.measure.factor)

    def refresh(self) -> None:
        """Make the page show what the controls say; returns when it does."""
        self._stale.set()
        with self._lock:
            while self._stale.is_set() and not self._stopped.is_set():
                self._stale.clear()
                self._draw(self.controls.settings())

    def wait(self) -> None:
        """Keep the page alive until it is stopped, or Ctrl-C."""
        # In short waits, since Windows lets no signal through a long one.
        while not self._stopped.wait(1.0):
            pass

    def stop(self) -> None:
        """Close the page."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._playback.switch(False)
        atexit.unregister(self.stop)
        with self._lock:  # Whoever still draws ends before the next view.
            stop_server(self._server)

    def _begin(self) -> None:
        with self.messages.explained("Drawing the scene"):
            self.refresh()

    def _draw(self, settings: Settings) -> None:
        """Draw what was chosen, view by view, until something else is."""
        if settings.filter.head != self._head:
            self._head = settings.filter.head
            self._survey = judged_by(self._base, self._scene, self._head)
        self.controls.photos.tell_name()
        self.controls.crop.draw(self._server.scene)
        looking = self.controls.photos.look.value
        self._cameras.draw(settings, looking=looking)
        for places in self._points.draw(settings, self._survey):
            if self._stale.is_set() or self._stopped.is_set():
                return
            for place, frustum in self._cameras.add(places).items():
                frustum.on_click(lambda event, place=place: self._visit(place))
        self._cameras.draw(settings, looking=looking)
        self._tell_status(settings)

    def _tell_status(self, settings: Settings) -> None:
        seen = self._points.visible()
        count = sum(map(len, seen.values()))
        metric = self.measure.scale.kind == "metric"
        parts = [
            f"**{len(seen)}** of {self.controls.photos.count} photos",
            f"**{count:,}** points",
            "in metres" if metric else "in units of unknown length",
        ]
        legend = legend_of(settings.color_by, self._survey, self.measure.factor, metric=metric)
        self.controls.status.content = ", ".join(parts) + (f"\n\n{legend}" if legend else "")

    def _connect(self) -> None:
        """Let each control do what it says."""
        redraw = self.messages.guarded("Drawing", self.refresh)
        points, photos, crop = self.controls.points, self.controls.photos, self.controls.crop
        for control in (
            *(points.color_by, points.percentile, points.size, points.millions, points.head),
            *(points.mask_sky, photos.span, photos.cameras, photos.camera_size, photos.hidden),
            *(photos.sure_from, crop.on, *crop.ranges),
        ):
            control.on_update(redraw)
        photos.current.on_update(self.messages.guarded("Drawing", self._moved_on))
        for control in (photos.look, photos.opacity):
            control.on_update(self.messages.guarded("Looking through a camera", self._moved_on))
        photos.step.on_click(lambda event: self._step(1 if event.target.value == "▶" else -1))
        photos.playing.on_update(lambda event: self._playback.switch(event.target.value))
        photos.toggle.on_click(self.messages.guarded("Hiding", self._toggle_hidden))
        photos.overview.on_click(self.messages.guarded("Overview", self._overview))
        crop.reset.on_click(self.messages.guarded("Cropping", crop.open_up))

    def _moved_on(self) -> None:
        """Follow the current photo: show it, and look through its camera where that is wanted."""
        photos = self.controls.photos
        if photos.look.value:
            self._cameras.overlay(photos.place, photos.opacity.value / 100)
            self._cameras.look_through(photos.place, self._clients())
        else:
            self._cameras.overlay(None, 0)
        self.refresh()

    def _step(self, by: int) -> None:
        self.controls.photos.go_to(self.controls.photos.place + by)

    def _play_on(self) -> None:
        photos = self.controls.photos
        with self.messages.explained("Playing"):
            if photos.span.value == "all photos" and not photos.look.value:
                photos.span.value = "up to this photo"
            self._step(1)

    def _visit(self, place: int) -> None:
        """Look through the camera whose photo was clicked on."""
        with self.messages.explained("Looking through a camera"):
            self.controls.photos.go_to(place)
            self.controls.photos.look.value = True

    def _toggle_hidden(self) -> None:
        photos = self.controls.photos
        hidden = self.controls.settings().hidden ^ {photos.place}
        photos.hidden.value = format_places(hidden)

    def _overview(self) -> None:
        self.controls.photos.look.value = False
        self._cameras.overview(self._clients())

    def _clients(self) -> "list[ClientHandle]":
        return list(self._server.get_clients().values())

    def _visible_points(self) -> Float[Tensor, "points 3"]:
        with self._lock:
            seen = self._points.visible().values()
        return torch.cat([chosen.points for chosen in seen] or [torch.zeros(0, 3)])


def _resized(cloud: PointCloud, factor: float) -> PointCloud:
    return cloud if factor == 1 else replace(cloud, points=cloud.points * factor)
