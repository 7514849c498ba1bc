"""What the page tells the people before it: what went wrong, what is being done, what is ready."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from viser import ViserServer

LOG = logging.getLogger("fast3r.viewer")
_TROUBLE = (ValueError, OSError, ImportError, MemoryError, RuntimeError)
"""What a person can do something about; anything else is a fault of ours."""


class Messages:
    """Notifications in all pages of a server."""

    def __init__(self, server: "ViserServer") -> None:
        self._server = server
        self.latest = ""
        """What was said last."""

    def say(self, title: str, body: str = "", *, seconds: float = 8.0) -> None:
        """Tell that something is done."""
        self._show(title, body, "green", seconds)

    def trouble(self, title: str, error: Exception) -> None:
        """Tell what went wrong, in the page and in the log."""
        LOG.error("%s: %s", title, error)
        self._show(title, str(error) or type(error).__name__, "red", 20.0)

    @contextmanager
    def at_work(self, title: str) -> Iterator[None]:
        """Show that something takes its time, and what went wrong in the end."""
        clients = self._server.get_clients().values()
        shown = [c.add_notification(title, "", loading=True) for c in clients]
        try:
            with self.explained(title):
                yield
        finally:
            for notification in shown:
                notification.remove()

    @contextmanager
    def explained(self, title: str) -> Iterator[None]:
        """Show what went wrong inside the block; faults of ours are raised all the same."""
        try:
            yield
        except _TROUBLE as error:
            self.trouble(title, error)
        except Exception as error:
            # Whoever runs the callback prints the traceback.
            self.trouble(f"{title}: this is a bug, please report it", error)
            raise

    def guarded(self, title: str, action: Callable[[], object]) -> Callable[[Any], None]:
        """Return a callback for a control of the page that tells what went wrong."""

        def callback(_event: Any) -> None:
            with self.explained(title):
                action()

        return callback

    def _show(self, title: str, body: str, color: Literal["green", "red"], seconds: float) -> None:
        self.latest = f"{title}: {body}" if body else title
        for client in self._server.get_clients().values():
            client.add_notification(title, body, color=color, auto_close_seconds=seconds)
