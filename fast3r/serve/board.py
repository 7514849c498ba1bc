"""All jobs of the service: who waits, who is worked on, what became of the rest.

Everything here happens in the thread of the event loop, between two awaits, so that no lock is
needed. Each change of state is on disk before anyone is told.
"""

import asyncio
import math
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from fast3r.serve.log import tell
from fast3r.serve.messages import ENDED, Findings, Job, JobError, JobOptions, Upload
from fast3r.serve.metrics import Metrics
from fast3r.serve.settings import Limits
from fast3r.serve.store import Store
from fast3r.serve.wire import Done

_RECENT = 20
"""Jobs whose durations tell how long a client should wait before it tries again."""


class FullError(Exception):
    """The queue has no room."""

    def __init__(self, retry_s: int) -> None:
        """Tell after how many seconds, at a guess, it will have."""
        super().__init__(f"the queue is full; try again in {retry_s} s")
        self.retry_s = retry_s


@dataclass
class Entry:
    """A job and what is known of it in memory only."""

    job: Job
    """As it is on disk."""

    stage: str | None = None
    """What is being done."""

    share: float = 0.0
    """How much of the job is done, in [0, 1]."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client wants it cancelled."""

    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while no worker has its hands on it."""


class Board:
    """The jobs of one service."""

    def __init__(self, store: Store, limits: Limits, metrics: Metrics) -> None:
        """Take up the jobs that are on disk; those cut short wait again, or have failed."""
        self.store = store
        self._limits = limits
        self._metrics = metrics
        self._entries: dict[str, Entry] = {}
        self._queue: deque[str] = deque()
        self._arriving = 0
        self._seconds: deque[float] = deque(maxlen=_RECENT)
        self._changed = asyncio.Event()
        for job in store.load():
            self._enter(job)
            if job.state == "running":
                self.lost(job.id, "the service was stopped by force")

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._entries

    def __getitem__(self, job_id: str) -> Entry:
        return self._entries[job_id]

    @property
    def jobs(self) -> list[Job]:
        """All jobs that have not expired."""
        return [entry.job for entry in self._entries.values()]

    @property
    def queued(self) -> int:
        """How many jobs wait."""
        return len(self._queue)

    def position(self, job_id: str) -> int | None:
        """Return how many jobs are before this one in the queue; None if it does not wait."""
        return self._queue.index(job_id) if job_id in self._queue else None

    def expiry(self, job: Job) -> datetime | None:
        """Return when a job will be deleted; None while it has not ended."""
        return job.ended and job.ended + timedelta(seconds=self._limits.keep_s)

    @property
    def next_change(self) -> asyncio.Event:
        """Set at the next change of any job; who takes it before looking misses nothing."""
        return self._changed

    # --- the client's side ---

    @contextmanager
    def place(self) -> Iterator[str]:
        """Keep a place in the queue while uploads arrive, and give an id for the job to be.

        Raises:
            FullError: There is none.
        """
        if len(self._queue) + self._arriving >= self._limits.queue:
            average_s = sum(self._seconds) / len(self._seconds) if self._seconds else 5.0
            raise FullError(math.ceil(min(max(average_s, 1.0), 120.0)))
        self._arriving += 1
        job_id = secrets.token_hex(16)
        try:
            yield job_id
        finally:
            self._arriving -= 1
            self.store.discard_incoming(job_id)

    def submit(self, job_id: str, options: JobOptions, uploads: list[Upload]) -> Job:
        """Make a job of what arrived under an id, and let it wait."""
        job = Job(id=job_id, options=options, uploads=uploads, created=_now())
        self.store.accept(job)
        self._enter(job)
        tell("job accepted", job=job_id[:8], files=len(uploads), formats=options.formats)
        self._tell_all()
        return job

    async def cancel(self, job_id: str) -> None:
        """Stop a job; when this returns nobody works on it any more."""
        entry = self._entries[job_id]
        if entry.job.state == "queued":
            self._queue.remove(job_id)
            self._end(entry, entry.job.model_copy(update={"state": "cancelled"}))
        entry.stop.set()
        await entry.released.wait()

    async def forget(self, job_id: str) -> None:
        """Stop a job and delete everything about it."""
        await self.cancel(job_id)
        # Meanwhile someone else may have done so.
        if self._entries.pop(job_id, None):
            self.store.remove(job_id)
            self._tell_all()
        await asyncio.to_thread(self.store.empty_trash)

    async def expire(self) -> None:
        """Delete the jobs whose time is over."""
        now = _now()
        for job in self.jobs:
            moment = self.expiry(job)
            if moment is not None and moment <= now:
                tell("job expired", job=job.id[:8])
                await self.forget(job.id)

    # --- the workers' side ---

    def take(self) -> Entry | None:
        """Return the job that has waited longest, as begun; None if none waits."""
        if not self._queue:
            return None
        entry = self._entries[self._queue.popleft()]
        begun = {"state": "running", "tries": entry.job.tries + 1, "started": _now()}
        entry.released.clear()
        self._update(entry, entry.job.model_copy(update=begun))
        tell("job begun", job=entry.job.id[:8], attempt=entry.job.tries)
        return entry

    def progress(self, entry: Entry, stage: str, share: float) -> None:
        """Note how far a job is."""
        entry.stage, entry.share = stage, max(share, entry.share)
        self._tell_all()

    def done(self, entry: Entry, done: Done) -> None:
        """Note that a job is done."""
        found = {name: getattr(done, name) for name in Findings.model_fields}
        found["state"] = "failed" if done.error else "done"
        entry.share = 1.0
        self._end(entry, entry.job.model_copy(update=found))

    def fail(self, entry: Entry, error: JobError) -> None:
        """Note that a job failed."""
        self._end(entry, entry.job.model_copy(update={"state": "failed", "error": error}))

    def cancelled(self, entry: Entry) -> None:
        """Note that work on a job has stopped as its client wished."""
        self._end(entry, entry.job.model_copy(update={"state": "cancelled"}))

    def lost(self, job_id: str, why: str) -> None:
        """Let a job that was cut short wait again, or fail if that has happened too often."""
        entry = self._entries[job_id]
        if entry.job.tries < self._limits.tries:
            self._wait_again(entry, tries=entry.job.tries)
            return
        message = f"{why} {entry.job.tries} times during this job; fewer or smaller photos may help"
        self.fail(entry, JobError(kind="crashed", message=message, retryable=True))

    def put_back(self, entry: Entry) -> None:
        """Let a job wait again that the service's own end cut short: no fault of the job."""
        self._wait_again(entry, tries=entry.job.tries - 1)

    # --- within ---

    def _enter(self, job: Job) -> None:
        self._entries[job.id] = entry = Entry(job)
        entry.released.set()
        if job.state == "queued":
            self._queue.append(job.id)

    def _wait_again(self, entry: Entry, *, tries: int) -> None:
        if entry.stop.is_set():
            self.cancelled(entry)
            return
        entry.stage, entry.share = None, 0.0
        waiting = {"state": "queued", "tries": tries, "started": None}
        self._queue.appendleft(entry.job.id)
        entry.released.set()
        self._update(entry, entry.job.model_copy(update=waiting))
        tell("job waits again", level="warning", job=entry.job.id[:8], tries=tries)

    def _end(self, entry: Entry, job: Job) -> None:
        job = job.model_copy(update={"ended": _now()})
        assert job.state in ENDED
        entry.stage = None
        self._update(entry, job)
        self.store.discard_work(job.id, keep_results=bool(job.results))
        entry.released.set()
        seconds = (job.ended - job.started).total_seconds() if job.ended and job.started else 0.0
        if job.state == "done":
            self._seconds.append(seconds)
        self._metrics.job_ended(job)
        tell(
            f"job {job.state}",
            job=job.id[:8],
            seconds=round(seconds, 3),
            error=job.error and job.error.kind,
        )

    def _update(self, entry: Entry, job: Job) -> None:
        self.store.save(job)
        entry.job = job
        self._tell_all()

    def _tell_all(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _now() -> datetime:
    return datetime.now(timezone.utc)
