"""Measuring: two points are picked by clicking, their distance is told and can set the scale."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fast3r.scene.reconstruction import Scale
from fast3r.viz.viewer.messages import Messages
from fast3r.viz.viewer.survey import Survey

if TYPE_CHECKING:
    from viser import ViserServer

_REACH_PX = 8
"""How far from the cursor a point may be seen to be picked."""
_COLOR = (220, 20, 60)


def nearest_to_ray(
    points: Float[Tensor, "points 3"],
    origin: Float[Tensor, "3"],
    direction: Float[Tensor, "3"],
    *,
    reach: float,
) -> Float[Tensor, "3"] | None:
    """Return the foremost point that a ray hits, or None where it hits nothing.

    Args:
        points: In the world.
        origin: Of the ray.
        direction: Of the ray, of any length.
        reach: How far beside the ray a point may lie, per unit of its distance.
    """
    direction = direction / direction.norm()
    relative = points - origin
    along = relative @ direction
    beside = (relative - along[:, None] * direction).norm(dim=-1) / along
    hit = ((along > 0) & (beside <= reach)).nonzero()[:, 0]
    if len(hit) == 0:
        return None
    # Of the foremost surface the point that lies next to the ray.
    front = hit[along[hit] <= along[hit].min() * (1 + 2 * reach)]
    return points[front[beside[front].argmin()]]


class Measure:
    """Two picked points in a page, their distance, and the scale that follows from it."""

    def __init__(
        self,
        server: "ViserServer",
        survey: Survey,
        messages: Messages,
        points: Callable[[], Float[Tensor, "points 3"]],
        scale: Scale,
        rescaled: Callable[[], None],
    ) -> None:
        self._server, self._survey, self._messages = server, survey, messages
        self._points, self._rescaled = points, rescaled
        self.scale = scale
        """What one unit is once the world has been resized by `factor`."""
        self.factor = 1.0
        """Units of that scale per unit of the scene."""
        self._ends: list[Tensor] = []
        with server.gui.add_folder("Measure", expand_by_default=False):
            self.pick = server.gui.add_button("Pick two points")
            self.result = server.gui.add_markdown("")
            self.length = server.gui.add_number("True length (m)", 1.0, min=0.0, step=0.001)
            self.apply = server.gui.add_button("Set scale", disabled=True)
        self.pick.on_click(messages.guarded("Measuring", self.begin))
        self.apply.on_click(messages.guarded("Setting the scale", self.set_scale))

    @property
    def distance(self) -> float | None:
        """Between the picked points, in units of the scale; None before both are picked."""
        if len(self._ends) < 2:
            return None
        return (self._ends[1] - self._ends[0]).norm().item() * self.factor

    def begin(self) -> None:
        """Wait for two clicks into the scene."""
        self._server.scene.remove_click_callback("all")
        self._clear()
        self.result.content = "Click on the first point."
        self._server.scene.on_click()(self._clicked)

    def pick_along(
        self,
        origin: Float[Tensor, "3"],
        direction: Float[Tensor, "3"],
        *,
        reach: float,
    ) -> None:
        """Pick the foremost shown point that a ray hits."""
        point = nearest_to_ray(self._points(), origin, direction, reach=reach)
        if point is None:
            self.result.content = "There is no point; click on another."
            return
        self._ends.append(point)
        radius = 0.006 * self._survey.frame.radius
        place = f"/measure/{len(self._ends)}"
        self._server.scene.add_icosphere(place, radius, _COLOR, position=point.numpy())
        if len(self._ends) < 2:
            self.result.content = "Click on the second point."
            return
        self._server.scene.remove_click_callback("all")
        ends = torch.stack(self._ends).numpy()
        self._server.scene.add_line_segments(
            "/measure/line", ends[None], _COLOR, thickness=3, thickness_units="screen"
        )
        self._tell()

    def set_scale(self) -> None:
        """Make the distance between the picked points the length that was typed in.

        Raises:
            ValueError: Two points are not picked, they coincide, or the length is not positive.
        """
        if not self.distance:
            raise ValueError("pick two points that lie apart, then set the length between them")
        length = self.length.value
        if not length > 0:
            raise ValueError(f"the true length must be positive, got {length}")
        self.factor *= length / self.distance
        self.scale = Scale("metric", f"a length of {length:g} m measured in the viewer")
        self._tell()
        self._rescaled()
        self._messages.say("The scale is set", "What you save from now on is in metres.")

    def _clicked(self, event: Any) -> None:
        camera = event.client.camera
        reach = _REACH_PX * 2 * np.tan(camera.fov / 2) / camera.image_height
        with self._messages.explained("Measuring"):
            self.pick_along(
                torch.tensor(event.ray_origin), torch.tensor(event.ray_direction), reach=reach
            )

    def _tell(self) -> None:
        assert self.distance is not None
        unit = "m" if self.scale.kind == "metric" else "units"
        text = f"{self.distance:.4g} {unit}"
        self.result.content = f"**{text}**"
        self.apply.disabled = False
        middle = (self._ends[0] + self._ends[1]) / 2
        self._server.scene.add_label("/measure/label", text, position=middle.numpy())

    def _clear(self) -> None:
        self._ends = []
        self.apply.disabled = True
        self._server.scene.remove_by_name("/measure")
