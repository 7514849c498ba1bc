"""How many points a browser draws fluently: few at first, more once it has shown that it can."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from fast3r.viz.viewer.messages import Messages

if TYPE_CHECKING:
    from viser import ClientHandle, GuiSliderHandle, ViserServer

FIRST_MILLIONS = 0.1
_MILLIONS_WITHIN_S = ((0.2, 1.5), (0.6, 0.3))
"""How many points a browser gets that needs no longer for a small picture of the first ones.

One that needs longer has no graphics card, or is far away.
"""
_PATIENCE_S = 2.0
"""A picture for us keeps a slow browser from drawing its first for the person."""
_TIMEOUT_S = 30.0


class Pace:
    """Raises the number of points when the first browser proves fast enough."""

    def __init__(
        self,
        server: "ViserServer",
        millions: "GuiSliderHandle[float]",
        messages: Messages,
        drawn: Callable[[], None],
        *,
        most_points: int,
    ) -> None:
        self._millions, self._messages, self._drawn = millions, messages, drawn
        self._first = threading.Lock()
        if most_points > FIRST_MILLIONS * 1e6:
            server.on_client_connect(self._greet)

    def _greet(self, client: "ClientHandle") -> None:
        """Time the first browser; what a person has set meanwhile stays."""
        if not self._first.acquire(blocking=False):
            return
        with self._messages.explained("Timing the browser"):
            self._drawn()
            time.sleep(_PATIENCE_S)
            seconds = seconds_per_picture(client)
            if self._millions.value != FIRST_MILLIONS:
                return
            fitting = [millions for limit, millions in _MILLIONS_WITHIN_S if seconds <= limit]
            self._millions.value = max(fitting, default=FIRST_MILLIONS)
            if not fitting:
                self._messages.say(
                    "Few points are drawn",
                    f"A picture takes this browser {seconds:.1f} s, as without a graphics card. "
                    "'Millions drawn' shows more.",
                )


def seconds_per_picture(client: "ClientHandle") -> float:
    """Return how long a browser takes for a small picture of the scene."""
    seconds = 0.0
    for _ in range(2):  # The first one still waits for points that are on their way.
        start = time.monotonic()
        try:
            client.get_render(90, 160, timeout=_TIMEOUT_S)
        except (TimeoutError, RuntimeError):
            # A tab in the background draws nothing, one that was closed neither.
            return _TIMEOUT_S
        seconds = time.monotonic() - start
    return seconds
