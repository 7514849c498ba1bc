"""Counters of the service in Prometheus text format, version 0.0.4.

A client library would bring a registry, locks and several processes' files for what one thread
writes here in a few lines.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from fast3r.serve.messages import ENDED, Job

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STATES = ("queued", "running", *ENDED)


class Metrics:
    """What has happened since the service started."""

    def __init__(self) -> None:
        self._ended: Counter[str] = Counter()
        self._refused: Counter[int] = Counter()
        self._restarts: Counter[str] = Counter()
        self._uploaded_bytes = 0
        self._stage_count: Counter[str] = Counter()
        self._stage_seconds: defaultdict[str, float] = defaultdict(float)

    def job_ended(self, job: Job) -> None:
        """Count a job that is done, failed or cancelled."""
        self._ended[job.state] += 1
        for stage in job.stages:
            self._stage_count[stage.name] += 1
            self._stage_seconds[stage.name] += stage.seconds

    def refused(self, status: HTTPStatus) -> None:
        """Count a request that was refused."""
        self._refused[status] += 1

    def restarted(self, device: str) -> None:
        """Count a worker that was started in place of one that died or was stopped."""
        self._restarts[device] += 1

    def uploaded(self, num_bytes: int) -> None:
        """Count what clients have sent."""
        self._uploaded_bytes += num_bytes

    def text(self, jobs: Iterable[Job], workers: Mapping[str, bool]) -> str:
        """Return everything, with the jobs that are kept now and which workers are ready."""
        present = Counter(job.state for job in jobs)
        lines = [
            *_family(
                "fast3r_jobs",
                "gauge",
                "Jobs that the service keeps, by state; queued is the length of the queue.",
                {_label("state", state): present[state] for state in _STATES},
            ),
            *_family(
                "fast3r_jobs_ended_total",
                "counter",
                "Jobs that ended, by how.",
                {_label("state", state): self._ended[state] for state in ENDED},
            ),
            *_family(
                "fast3r_requests_refused_total",
                "counter",
                "Requests that were refused, by status.",
                {_label("status", str(int(s))): n for s, n in sorted(self._refused.items())},
            ),
            *_family(
                "fast3r_worker_ready",
                "gauge",
                "1 where the worker of a device has its model loaded.",
                {_label("device", device): int(ready) for device, ready in workers.items()},
            ),
            *_family(
                "fast3r_worker_restarts_total",
                "counter",
                "Workers started in place of one that died or was stopped.",
                {_label("device", device): self._restarts[device] for device in workers},
            ),
            *_family(
                "fast3r_uploaded_bytes_total",
                "counter",
                "Bytes that clients have sent as uploads.",
                {"": self._uploaded_bytes},
            ),
            *_family("fast3r_stage_seconds", "summary", "What the stages of jobs took.", {}),
            *(
                f"fast3r_stage_seconds_{part}{_label('stage', stage)} {value}"
                for part, values in (("sum", self._stage_seconds), ("count", self._stage_count))
                for stage, value in values.items()
            ),
        ]
        return "\n".join(lines) + "\n"


def _family(name: str, kind: str, meaning: str, values: Mapping[str, int]) -> list[str]:
    """Return the lines of a counter, given its values by their labels."""
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
    return lines + [f"{name}{labels} {value}" for labels, value in values.items()]


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{{{name}="{escaped}"}}'
