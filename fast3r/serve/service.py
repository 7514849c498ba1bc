"""The service without its web face: folder, board, crew and counters, run as one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fast3r.serve.board import Board
from fast3r.serve.crew import Crew, OnCrash, watched
from fast3r.serve.log import tell
from fast3r.serve.messages import ENDED, Health, Job, JobStatus, Result
from fast3r.serve.metrics import Metrics
from fast3r.serve.settings import Settings
from fast3r.serve.store import Store

_EXPIRY_EVERY_S = 30.0

MEDIA_TYPES = {
    ".json": "application/json",
    ".glb": "model/gltf-binary",
    ".html": "text/html",
    ".png": "image/png",
    ".zip": "application/zip",
}
"""Of results, by ending."""

ANY_MEDIA_TYPE = "application/octet-stream"
"""Of all other results."""


@dataclass(frozen=True)
class Service:
    """Everything that answers need."""

    settings: Settings
    """What whoever runs it decided."""

    store: Store
    """Jobs on disk."""

    board: Board
    """Jobs in memory."""

    crew: Crew
    """The workers."""

    metrics: Metrics
    """The counters."""

    def status(self, job_id: str) -> JobStatus:
        """Return where a job stands."""
        entry = self.board[job_id]
        job = entry.job
        return JobStatus(
            id=job.id,
            state=job.state,
            queue_position=self.board.position(job.id),
            stage=entry.stage,
            share=1.0 if job.state in ENDED else entry.share,
            files=len(job.uploads),
            options=job.options,
            created=job.created,
            started=job.started,
            ended=job.ended,
            expires=self.board.expiry(job),
            error=job.error,
            outcome=job.outcome,
            stages=job.stages,
            problems=job.problems,
            results=[self._result(job, name) for name in job.results],
        )

    def health(self) -> Health:
        """Return how the service is."""
        workers = self.crew.health
        return Health(
            ready=any(worker.ready for worker in workers),
            model=self.settings.model,
            queued=self.board.queued,
            workers=workers,
        )

    def result_path(self, job: Job, name: str) -> Path:
        """Return the file of a result."""
        return self.store.result_folder(job.id) / job.results[name]

    def _result(self, job: Job, name: str) -> Result:
        path = self.result_path(job, name)
        return Result(
            format=name,
            href=f"/v1/jobs/{job.id}/results/{name}",
            media_type=media_type(path),
            bytes=path.stat().st_size,
        )


def media_type(path: Path) -> str:
    """Return what a result is served as."""
    return MEDIA_TYPES.get(path.suffix, ANY_MEDIA_TYPE)


@asynccontextmanager
async def running(settings: Settings, store: Store, *, on_crash: OnCrash) -> AsyncIterator[Service]:
    """Run a service for as long as the block does.

    Args:
        settings: Of the service.
        store: Its folder.
        on_crash: Learns of what must end the service.
    """
    metrics = Metrics()
    board = Board(store, settings.limits, metrics)
    crew = Crew(settings, board, metrics)
    service = Service(settings, store, board, crew, metrics)
    crew.start(on_crash)
    expiry = watched(_expire_forever(board), on_crash)
    try:
        yield service
    finally:
        expiry.cancel()
        await crew.stop()
        tell("stopped", waiting=board.queued)


async def _expire_forever(board: Board) -> None:
    while True:
        await board.expire()
        await asyncio.sleep(_EXPIRY_EVERY_S)
