"""The workers of the service, one for each device: fed with jobs, timed, killed and replaced."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from fast3r.serve.board import Board, Entry
from fast3r.serve.log import tell
from fast3r.serve.messages import JobError, WorkerHealth
from fast3r.serve.metrics import Metrics
from fast3r.serve.process import WorkerProcess
from fast3r.serve.settings import Settings
from fast3r.serve.wire import Done, Order, Progress, Ready, Unfit

WORKER_COMMAND: Sequence[str] = (sys.executable, "-m", "fast3r.serve.worker")
"""Starts a worker, given model, device and precision as further arguments."""

_FIRST_DELAY_S, _LONGEST_DELAY_S = 1.0, 60.0
"""How long to wait before a worker that never got ready is started again; doubles each time."""


OnCrash = Callable[[BaseException], None]
"""Learns of what must end the service: a model that cannot be loaded, a full disk, or a bug."""


def watched(work: Coroutine[Any, Any, None], on_crash: OnCrash) -> "asyncio.Task[None]":
    """Return a task that does some work; what it fails with is not lost."""

    def report(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            on_crash(error)

    task = asyncio.create_task(work)
    task.add_done_callback(report)
    return task


class UnfitError(Exception):
    """No worker can load the model, and trying again would not help."""


@dataclass
class _Seat:
    """Where the worker of one device sits."""

    device: str
    ready: bool = False
    busy: bool = False


class Crew:
    """All workers; jobs come from the board and their fate is noted there."""

    def __init__(self, settings: Settings, board: Board, metrics: Metrics) -> None:
        """Prepare one worker for each device.

        Args:
            settings: Of the service.
            board: Where jobs come from.
            metrics: Where restarts are counted.
        """
        self._settings = settings
        self._board = board
        self._metrics = metrics
        self._seats = [_Seat(device) for device in settings.devices]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def health(self) -> list[WorkerHealth]:
        """How each worker is."""
        return [WorkerHealth(device=s.device, ready=s.ready, busy=s.busy) for s in self._seats]

    def start(self, on_crash: OnCrash) -> None:
        """Start all workers; `on_crash` learns of what must end the service."""
        self._tasks = [watched(self._occupy(seat), on_crash) for seat in self._seats]

    async def stop(self) -> None:
        """Kill all workers; what they were at waits again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _occupy(self, seat: _Seat) -> None:
        """Keep a worker on a device, for as long as the service runs."""
        delay_s = _FIRST_DELAY_S
        while True:
            arguments = (self._settings.model, seat.device, self._settings.precision)
            worker = await WorkerProcess.start([*WORKER_COMMAND, *arguments])
            try:
                seat.ready = await self._gets_ready(seat.device, worker)
                if seat.ready:
                    delay_s = _FIRST_DELAY_S
                    await self._feed(seat, worker)
            finally:
                was_ready, seat.ready = seat.ready, False
                await worker.kill()
            tell("worker ended", level="warning", device=seat.device, how=worker.how_it_ended)
            self._metrics.restarted(seat.device)
            if not was_ready:
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _LONGEST_DELAY_S)

    async def _gets_ready(self, device: str, worker: WorkerProcess) -> bool:
        try:
            answer = await asyncio.wait_for(worker.receive(), self._settings.limits.job_s)
        except asyncio.TimeoutError:
            tell("worker took too long to load the model", level="error", device=device)
            return False
        if isinstance(answer, Unfit):
            raise UnfitError(answer.message)
        if isinstance(answer, Ready):
            tell("worker ready", device=device, hardware=answer.device)
        return isinstance(answer, Ready)

    async def _feed(self, seat: _Seat, worker: WorkerProcess) -> None:
        """Give a worker one job after another until it is dead."""
        while worker.alive:
            change = self._board.next_change
            entry = self._board.take()
            if entry is None:
                await self._until_change_or_death(change, worker)
                continue
            seat.busy = True
            try:
                await self._attend(worker, entry)
            finally:
                seat.busy = False

    async def _until_change_or_death(self, change: asyncio.Event, worker: WorkerProcess) -> None:
        changed = asyncio.create_task(change.wait())
        try:
            await asyncio.wait({changed, worker.ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()

    async def _attend(self, worker: WorkerProcess, entry: Entry) -> None:
        """Let a worker do a job; end both where it takes too long or its client wants it to."""
        limit_s = self._settings.limits.job_s
        answer = asyncio.create_task(self._answer(worker, entry))
        stop = asyncio.create_task(entry.stop.wait())
        try:
            await asyncio.wait({answer, stop}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                self._note(entry, answer.result(), worker)
            else:
                await worker.kill()
                self._note_killed(entry, limit_s)
        except asyncio.CancelledError:
            await worker.kill()
            self._board.put_back(entry)
            raise
        finally:
            answer.cancel()
            stop.cancel()

    async def _answer(self, worker: WorkerProcess, entry: Entry) -> Done | None:
        """Return what a worker makes of a job, None if it dies over it."""
        await worker.send(self._order(entry))
        while True:
            message = await worker.receive()
            if isinstance(message, Progress):
                self._board.progress(entry, message.stage, message.share)
            else:
                assert message is None or isinstance(message, Done)
                return message

    def _order(self, entry: Entry) -> Order:
        job, limits = entry.job, self._settings.limits
        return Order(
            input_folder=self._board.store.input_folder(job.id),
            result_folder=self._board.store.result_folder(job.id),
            uploads=job.uploads,
            options=job.options,
            max_views=limits.views,
            max_pixels=limits.pixels,
        )

    def _note(self, entry: Entry, done: Done | None, worker: WorkerProcess) -> None:
        if done is None:
            self._board.lost(entry.job.id, f"the worker died ({worker.how_it_ended})")
        else:
            self._board.done(entry, done)

    def _note_killed(self, entry: Entry, limit_s: float) -> None:
        if entry.stop.is_set():
            self._board.cancelled(entry)
            return
        message = f"the job took longer than {limit_s:g} s; fewer or smaller photos take less time"
        self._board.fail(entry, JobError(kind="timed_out", message=message, retryable=False))
