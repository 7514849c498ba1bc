"""The signals by which a scheduler says that a job is about to end."""

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""What Slurm and others send some time before they end a job. Of several the last one counts,
since SIGTERM says least about why."""


class Preempted(Exception):  # noqa: N818 (it is no error)
    """A run was told to stop, and has been saved."""

    def __init__(self, received: signal.Signals | None = None) -> None:
        """Take the signal; None where another process got it."""
        super().__init__(received)
        self.received = received

    def __str__(self) -> str:
        name = "another process" if self.received is None else self.received.name
        return f"saved, and stopped by {name}; the same command goes on"


class StopSignals:
    """Remembers that a signal came, so that work can end where it can be continued.

    with StopSignals() as signals:
        while not signals.received:
            step()
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._received: set[int] = set()

    @property
    def received(self) -> signal.Signals | None:
        """The signal that came, if any."""
        came = [signum for signum in SIGNALS if signum in self._received]
        return came[-1] if came else None

    def __enter__(self) -> "StopSignals":
        """Take over from the handlers that are set."""
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        """Give back to the handlers that were set at first."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}

    def listen(self) -> None:
        """Take over once more, from whoever set handlers inside, as Lightning does in `fit`.

        In other threads than the main one, where Python allows no handlers, nothing is heard.
        """
        if threading.current_thread() is threading.main_thread():
            found = {signum: signal.signal(signum, self._note) for signum in SIGNALS}
            self._before = self._before or found

    def _note(self, signum: int, _: FrameType | None) -> None:
        self._received.add(signum)


def ignore_signals(_worker: int = 0) -> None:
    """Let a process that reads data live on when its whole job is told to stop.

    For `DataLoader(worker_init_fn=ignore_signals)`: a scheduler sends signals to all processes of
    a job, and a worker that dies of one ends the run before it is saved.
    """
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
