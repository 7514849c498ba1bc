"""The server process: listens, runs the application, and stops when it is told to."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from fast3r.serve.app import create_app
from fast3r.serve.crew import UnfitError
from fast3r.serve.settings import Settings
from fast3r.serve.store import Store

_MAX_CONNECTIONS = 500
"""Further ones are answered 503."""

_BACKLOG = 256

_GRACE_S = 5
"""For answers that are under way when the service is told to stop."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that accepts connections; port 0 takes a free one.

    Raises:
        OSError: The address is unknown or taken.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )[0]
    # With its protocol named, as only then asyncio sends small answers without delay (40 ms).
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM.

    Jobs that wait then, or are worked on, go on at the next start.

    Raises:
        ValueError: The folder is in use, or the model cannot be loaded.
        OSError: The folder cannot be written to.
    """
    crashes: list[BaseException] = []

    def on_crash(error: BaseException) -> None:
        crashes.append(error)
        server.should_exit = True

    with Store(settings.folder) as store, _stopped_by_signals():
        app = create_app(settings, store, on_crash=on_crash)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=_MAX_CONNECTIONS,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        server.run(sockets=[listener])
    for error in crashes:
        if isinstance(error, UnfitError):
            raise ValueError(f"cannot serve the model {settings.model}: {error}")
        raise error
    if not server.started:
        raise OSError("the service did not start; the log says why")


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Make the signals that stop the server an end like any other.

    The server raises them once more when it has stopped.
    """
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.signal(kind, lambda *_: None) for kind in kinds}
    try:
        yield
    finally:
        for kind, receiver in before.items():
            signal.signal(kind, receiver)
