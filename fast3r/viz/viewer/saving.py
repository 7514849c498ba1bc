"""Files from the page: what is shown, a still, and a turn around the scene."""

import io
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from fast3r.export.formats import FORMATS, save
from fast3r.export.framing import look_at
from fast3r.geometry.transforms import Similarity, quaternion_from_matrix, rotation_exp
from fast3r.scene.point_cloud import PointCloud
from fast3r.scene.reconstruction import Reconstruction, Scale
from fast3r.viz.movies import write_movie
from fast3r.viz.viewer.messages import Messages

if TYPE_CHECKING:
    from viser import ClientHandle, GuiApi

HIDDEN = "hidden in the viewer"
"""Why a view that the page does not show has no camera in what it saves."""

_KINDS = ("ply", "glb", "laz", "html", "npz")
_MOST_BYTES = 500_000_000
"""Browsers hold a download in memory."""
_FPS = 20
_MOST_WIDTH_PX = 1280
_RENDER_TIMEOUT_S = 60.0


class Saving:
    """The controls for files, and what they do."""

    def __init__(
        self,
        gui: "GuiApi",
        messages: Messages,
        scene: Callable[[], Reconstruction],
        cloud: Callable[..., PointCloud],
    ) -> None:
        self._messages, self._scene, self._cloud = messages, scene, cloud
        installed = [f"scene.{kind}" for kind in _KINDS if FORMATS[kind].installed]
        with gui.add_folder("Save", expand_by_default=False):
            self.name = gui.add_dropdown("File", installed)
            self.all_pixels = gui.add_checkbox(
                "Full resolution",
                True,
                hint="All points like those that are drawn, not only these",
            )
            self.save = gui.add_button("Save what is shown", hint="scene.npz is the whole scene")
            self.still = gui.add_button("Still", hint="This view as a picture")
            self.film = gui.add_dropdown("Turntable as", ("gif", "mp4", "webp"))
            self.seconds = gui.add_slider("Seconds", 1.0, 20.0, 0.5, 4.0)
            self.turn = gui.add_button("Record a turntable")
        self.save.on_click(lambda event: self._send(event, self.name.value, self._made))
        self.still.on_click(lambda event: self._send(event, "still.png", still_of))
        self.turn.on_click(lambda event: self._send(event, *self._turntable()))

    def file(self) -> bytes:
        """Return the file that is chosen, of what is shown.

        Raises:
            ValueError: No point is shown, or the file would be too large for a browser.
        """
        cloud = self._cloud(all_pixels=self.all_pixels.value)
        whole = self.name.value == "scene.npz"
        scene = self._scene()
        shown = scene
        if not whole:
            seen = set(cloud.view_index.unique().tolist())
            shown = only_views(scene, seen)
        return file_of(shown, cloud, self.name.value)

    def _made(self, _client: "ClientHandle") -> bytes:
        return self.file()

    def _turntable(self) -> tuple[str, "Callable[[ClientHandle], bytes]"]:
        kind, seconds = self.film.value, self.seconds.value
        return f"turntable.{kind}", partial(turntable_of, kind=kind, seconds=seconds)

    def _send(self, event: Any, name: str, make: "Callable[[ClientHandle], bytes]") -> None:
        """Make a file for the browser that asked for it, and let it keep that."""
        with self._messages.at_work(f"Making {name}"):
            if event.client is None:
                raise ValueError("no browser asked for it; press the button in the page")
            content = make(event.client)
            event.client.send_file_download(name, content, save_immediately=True)


def only_views(scene: Reconstruction, indices: set[int]) -> Reconstruction:
    """Return the scene in which only these views have cameras, and so points."""
    cameras = [camera if i in indices else None for i, camera in enumerate(scene.cameras)]
    failures = [
        None if camera is not None else failure or HIDDEN
        for camera, failure in zip(cameras, scene.failures, strict=True)
    ]
    return replace(scene, cameras=cameras, failures=failures)


def scene_in_scale(scene: Reconstruction, factor: float, scale: Scale) -> Reconstruction:
    """Return a scene resized by a factor, which makes its unit that of a scale."""
    if factor == 1 and scale == scene.scale:
        return scene
    resize = Similarity(
        torch.tensor(factor, dtype=torch.float64), torch.eye(3).double(), torch.zeros(3).double()
    )
    return scene.transformed(resize, scale=scale)


def file_of(scene: Reconstruction, cloud: PointCloud, name: str) -> bytes:
    """Return the file that `save` writes under a name.

    Raises:
        ValueError: It would be too large for a browser.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        save(scene, path, cloud=cloud)
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ValueError(
                f"{name} would have {size / 1e6:.0f} MB, too much for a browser; "
                "use 'fast3r export'"
            )
        return path.read_bytes()


def still_of(client: "ClientHandle") -> bytes:
    """Return what a browser shows, as a PNG on white."""
    camera = client.camera
    height, width = camera.image_height, camera.image_width
    shown = client.get_render(height, width, transport_format="png", timeout=_RENDER_TIMEOUT_S)
    buffer = io.BytesIO()
    _on_white(shown).save(buffer, format="PNG")
    return buffer.getvalue()


def turntable_of(client: "ClientHandle", *, kind: str, seconds: float) -> bytes:
    """Return a film in which the scene of a browser turns once, as seen from where it stands.

    Raises:
        ImportError: An MP4 needs PyAV.
        RuntimeError: The browser went away.
        TimeoutError: It does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"turntable.{kind}"
        count = round(seconds * _FPS)
        write_movie(_turn(client, count), path, seconds=seconds, count=count)
        return path.read_bytes()


def _turn(client: "ClientHandle", count: int) -> Iterator[Image.Image]:
    camera = client.camera
    start, centre, up = (
        torch.from_numpy(np.asarray(vector, dtype=np.float64).copy())
        for vector in (camera.position, camera.look_at, camera.up_direction)
    )
    up, field_of_view = torch.nn.functional.normalize(up, dim=0), camera.fov
    shrink = min(_MOST_WIDTH_PX / camera.image_width, 1.0)
    height, width = int(camera.image_height * shrink), int(camera.image_width * shrink)
    for k in range(count):
        turned = rotation_exp(2 * math.pi * k / count * up)
        position = centre + turned @ (start - centre)
        pose = look_at(position, centre, up)
        shown = client.get_render(
            height,
            width,
            wxyz=quaternion_from_matrix(pose[:3, :3]).numpy(),
            position=position.numpy(),
            fov=field_of_view,
            timeout=_RENDER_TIMEOUT_S,
        )
        yield Image.fromarray(shown).convert("RGB")


def _on_white(rgba: np.ndarray) -> Image.Image:
    picture = Image.fromarray(rgba)
    ground = Image.new("RGBA", picture.size, "white")
    ground.alpha_composite(picture.convert("RGBA"))
    return ground.convert("RGB")
