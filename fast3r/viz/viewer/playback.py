"""Playback: the current photo moves on by itself, at the rate that is set."""

import threading
from collections.abc import Callable


class Playback:
    """Calls a function again and again, in a thread, while it is switched on."""

    def __init__(self, step: Callable[[], None], rate: Callable[[], float]) -> None:
        self._step, self._rate = step, rate
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None

    def switch(self, on: bool) -> None:
        """Begin, or end; what runs already goes on."""
        with self._lock:
            if on and self._stop is None:
                self._stop = threading.Event()
                threading.Thread(target=self._run, args=(self._stop,), daemon=True).start()
            elif not on and self._stop is not None:
                self._stop.set()
                self._stop = None

    def _run(self, stop: threading.Event) -> None:
        # The rate is asked for each time, so that the slider has an effect at once.
        while not stop.wait(1 / self._rate()):
            self._step()
