"""The line before the device: one job at a time, the others wait and know their place."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from fast3r.scene.stages import StageCost, Watcher


class StoppedError(Exception):
    """The visitor no longer wants the job."""


@dataclass(frozen=True)
class Stage:
    """How far a stage is."""

    name: str
    """What is done."""

    started: float
    """When it began, by `time.monotonic`."""

    share: float = 0.0
    """How much of it is done."""

    seconds: float | None = None
    """What it took; None until it is over."""


class Job(Watcher):
    """Something to compute for a visitor."""

    def __init__(self, work: Callable[["Job"], Any]) -> None:
        """Make a job of a function, which calls `check` now and then."""
        self.stages: list[Stage] = []
        """Those that have begun."""
        self.future: Future[Any] = Future()
        """The result, or the error."""
        self._work: Callable[[Job], Any] | None = work
        self._stopped = threading.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Take it out of the line, or end it at its next `check`; nothing if it is over."""
        if not self.future.done():
            self._stopped.set()
            self.future.cancel()

    def check(self) -> None:
        """Do nothing, or end the job.

        Raises:
            StoppedError: The job was told to stop.
        """
        if self.is_stopped:
            raise StoppedError

    def run(self) -> None:
        """Work, unless it was stopped before."""
        # A job may be remembered for long, the photos that its work holds must not be.
        work, self._work = self._work, None
        if work is None or not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(work(self))
        # Whatever it is, it is for the visitor who waits for the result; the line goes on.
        except BaseException as error:
            self.future.set_exception(error)

    def started(self, stage: str) -> None:
        """Note that a stage begins."""
        self.check()
        self.stages.append(Stage(stage, time.monotonic()))

    def advanced(self, stage: str, done: int, steps: int) -> None:
        """Note how far a stage is."""
        self.check()
        self.stages[-1] = replace(self.stages[-1], share=done / max(steps, 1))

    def ended(self, cost: StageCost) -> None:
        """Note that a stage is over."""
        self.check()
        self.stages[-1] = replace(self.stages[-1], share=1.0, seconds=cost.seconds)


class Line:
    """Jobs in the order in which they came, worked on one by one in a thread."""

    def __init__(self, *, max_waiting: int) -> None:
        """Open the line."""
        self._max_waiting = max_waiting
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="demo-device")

    def join(self, work: Callable[[Job], Any]) -> Job:
        """Return a job at the end of the line.

        Raises:
            ValueError: The line is too long.
        """
        job = Job(work)
        with self._lock:
            self._jobs = [j for j in self._jobs if not j.future.done()]
            if len(self._jobs) > self._max_waiting:
                raise ValueError(
                    f"{self._max_waiting} others are waiting already; please try again later"
                )
            self._jobs.append(job)
            self._worker.submit(job.run)
        return job

    def num_before(self, job: Job) -> int:
        """Return how many jobs come before this one."""
        with self._lock:
            before = self._jobs[: self._jobs.index(job)] if job in self._jobs else []
            return sum(not other.future.done() for other in before)

    def close(self) -> None:
        """Stop all jobs."""
        with self._lock:
            for job in self._jobs:
                job.stop()
        self._worker.shutdown(wait=True, cancel_futures=True)
