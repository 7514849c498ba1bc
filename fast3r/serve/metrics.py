"""Counters of the service in Prometheus text format, version 0.0.4.

A client library would bring a registry, locks and several processes' files for what one thread
writes here in a few lines.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from fast3r.serve.messages import ENDED, Job

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
"""Upper ends of the histogram's buckets: a stage of a few photos, up to an hour's job."""

_STATES = ("queued", "running", *ENDED)


class Metrics:
    """What has happened since the service started."""

    def __init__(self) -> None:
        self._ended: Counter[str] = Counter()
        self._refused: Counter[int] = Counter()
        self._restarts: Counter[str] = Counter()
        self._uploaded_bytes = 0
        self._stages: dict[str, _Histogram] = {}

    def job_ended(self, job: Job) -> None:
        """Count a job that is done, failed or cancelled."""
        self._ended[job.state] += 1
        for stage in job.stages:
            self._stages.setdefault(stage.name, _Histogram()).add(stage.seconds)

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
        ended = {(("state", state),): self._ended[state] for state in ENDED}
        lines = [
            *_family(
                "fast3r_jobs",
                "gauge",
                "Jobs that the service keeps, by state; queued is the length of the queue.",
                {(("state", state),): present[state] for state in _STATES},
            ),
            *_family("fast3r_jobs_ended_total", "counter", "Jobs that ended, by how.", ended),
            *_family(
                "fast3r_requests_refused_total",
                "counter",
                "Requests that were refused, by status.",
                {(("status", str(int(s))),): n for s, n in sorted(self._refused.items())},
            ),
            *_family(
                "fast3r_worker_ready",
                "gauge",
                "1 where the worker of a device has its model loaded.",
                {(("device", device),): int(ready) for device, ready in workers.items()},
            ),
            *_family(
                "fast3r_worker_restarts_total",
                "counter",
                "Workers started in place of one that died or was stopped.",
                {(("device", device),): self._restarts[device] for device in workers},
            ),
            *_family(
                "fast3r_uploaded_bytes_total",
                "counter",
                "Bytes that clients have sent as uploads.",
                {(): self._uploaded_bytes},
            ),
            "# HELP fast3r_stage_seconds What the stages of jobs took.",
            "# TYPE fast3r_stage_seconds histogram",
            *(line for name, stage in self._stages.items() for line in stage.lines(name)),
        ]
        return "\n".join(lines) + "\n"


class _Histogram:
    """How many durations fell below each bound."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_S) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(_BOUNDS_S, seconds)] += 1
        self._sum += seconds

    def lines(self, stage: str) -> list[str]:
        lines, total = [], 0
        for bound, count in zip((*map(str, _BOUNDS_S), "+Inf"), self._counts, strict=True):
            total += count
            labels = _labels((("stage", stage), ("le", bound)))
            lines.append(f"fast3r_stage_seconds_bucket{labels} {total}")
        labels = _labels((("stage", stage),))
        lines.append(f"fast3r_stage_seconds_sum{labels} {self._sum:.6f}")
        lines.append(f"fast3r_stage_seconds_count{labels} {total}")
        return lines


Labels = tuple[tuple[str, str], ...]


def _family(name: str, kind: str, meaning: str, values: Mapping[Labels, int]) -> list[str]:
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
    return lines + [f"{name}{_labels(labels)} {value}" for labels, value in values.items()]


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    quoted = (f'{name}="{_escaped(value)}"' for name, value in labels)
    return "{" + ",".join(quoted) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
