"""The cameras in the page, and looking through one of them with its photo laid over the points."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.export.html import add_camera
from fast3r.geometry.cameras import pixels_through, rays_through
from fast3r.geometry.transforms import quaternion_from_matrix
from fast3r.scene.reconstruction import Reconstruction
from fast3r.viz.viewer.settings import Settings, shown
from fast3r.viz.viewer.survey import Survey

if TYPE_CHECKING:
    from viser import CameraFrustumHandle, ClientHandle, ViserServer

_OVERLAY = "/photo"
_MOST_PHOTOS = 75
"""Of more cameras only every second, third, ... shows its photo: each slows the browser down."""
# Before all points, yet behind what browsers cut off as too near.
_OVERLAY_DEPTH = 0.003


class Cameras:
    """The frusta of all views in a page, and the photo before the eye of who looks through one."""

    def __init__(self, server: "ViserServer", scene: Reconstruction, survey: Survey) -> None:
        self._server, self._scene, self._survey = server, scene, survey
        self._frusta: dict[int, CameraFrustumHandle] = {}
        self._unit_scales: dict[int, float] = {}
        self._overlaid: tuple[int, float] | None = None
        self._photo_every = -(-len(survey.sureness) // _MOST_PHOTOS)

    def draw(self, settings: Settings, *, looking: bool) -> None:
        """Show or hide the frusta that are there, in the size that is wanted.

        Who looks through a camera would see the frusta of the next ones from within.
        """
        places = set(shown(settings, self._survey.sureness))
        for place, frustum in self._frusta.items():
            frustum.visible = settings.cameras and not looking and place in places
            frustum.scale = self._unit_scales[place] * settings.camera_size

    def add(self, places: Iterable[int]) -> "dict[int, CameraFrustumHandle]":
        """Draw the frusta of views that have none yet; returns the new ones."""
        depth, new = self._survey.frame.frustum_depth, {}
        for place in set(places) - self._frusta.keys():
            index = self._scene.registered[place]
            photo = self._scene.views[index].pixels if place % self._photo_every == 0 else None
            new[place] = add_camera(self._server.scene, self._scene, index, photo, depth=depth)
            scale = new[place].scale
            assert isinstance(scale, float)
            self._unit_scales[place] = scale
        self._frusta |= new
        return new

    def look_through(self, place: int, clients: "list[ClientHandle]") -> None:
        """Put browsers where a camera stands, and let them see just as much as it saw."""
        camera = self._scene.camera(self._scene.registered[place])
        pose = camera.world_from_camera.double()
        corners = self._corners(place)
        sideways, upward = corners.abs().amax(dim=0)[:2].tolist()
        for client in clients:
            aspect = client.camera.aspect
            with client.atomic():
                client.camera.up_direction = (-pose[:3, 1]).numpy()
                client.camera.position = pose[:3, 3].numpy()
                client.camera.look_at = (
                    pose[:3, 3] + self._survey.frame.radius * pose[:3, 2]
                ).numpy()
                client.camera.fov = 2 * math.atan(max(upward, sideways / aspect))

    def overlay(self, place: int | None, opacity: float) -> None:
        """Lay the photo of a view over what is seen from its camera; None takes it away."""
        wanted = None if place is None or opacity <= 0 else (place, opacity)
        if wanted == self._overlaid:
            return
        self._overlaid = wanted
        if wanted is None:
            self._server.scene.remove_by_name(_OVERLAY)
            return
        index = self._scene.registered[wanted[0]]
        camera = self._scene.camera(index)
        photo = self._scene.views[index].pixels.numpy()
        alpha = np.full((*photo.shape[:2], 1), round(255 * opacity), np.uint8)
        depth = self._survey.frame.radius * _OVERLAY_DEPTH
        corners = self._corners(wanted[0]) * depth
        across, down = corners[1] - corners[0], corners[3] - corners[0]
        pose = camera.world_from_camera.double()
        self._server.scene.add_image(
            _OVERLAY,
            np.concatenate((photo, alpha), axis=-1),
            render_width=across.norm().item(),
            render_height=down.norm().item(),
            format="png",
            cast_shadow=False,
            receive_shadow=False,
            wxyz=quaternion_from_matrix(pose[:3, :3] @ _turned(across)).numpy(),
            position=(pose[:3, :3] @ corners.mean(dim=0) + pose[:3, 3]).numpy(),
        )

    def overview(self, clients: "list[ClientHandle]") -> None:
        """Put browsers back to where the whole scene is seen."""
        start = self._server.initial_camera
        for client in clients:
            with client.atomic():
                client.camera.up_direction = self._survey.frame.up.numpy()
                client.camera.position = start.position
                client.camera.look_at = start.look_at
                client.camera.fov = start.fov

    def _corners(self, place: int) -> Float[Tensor, "4 3"]:
        """Return where the corners of the network image lie in the plane at depth 1."""
        index = self._scene.registered[place]
        view, camera = self._scene.views[index], self._scene.camera(index)
        height, width = view.height, view.width
        corners = [[0, 0], [width, 0], [width, height], [0, height]]
        network = torch.tensor(corners).double()
        original = pixels_through(view.original_from_network.double(), network)
        return rays_through(original, camera.intrinsics.double())


def _turned(across: Float[Tensor, "3"]) -> Float[Tensor, "3 3"]:
    """Return the rotation about the line of sight that turns x into the image's own x axis."""
    x, y, _ = (across / across.norm()).tolist()
    return torch.tensor([[x, -y, 0], [y, x, 0], [0, 0, 1]], dtype=torch.float64)
