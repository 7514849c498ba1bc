"""Counters in Prometheus text format."""

from datetime import datetime, timezone
from http import HTTPStatus

from fast3r.serve.messages import Job, JobOptions, StageSeconds, State
from fast3r.serve.metrics import Metrics


def a_job(state: State, *seconds: float) -> Job:
    return Job(
        id="0" * 32,
        options=JobOptions(),
        uploads=[],
        created=datetime.now(timezone.utc),
        state=state,
        stages=[StageSeconds(name="cameras", seconds=s) for s in seconds],
    )


def values(metrics: Metrics, jobs: list[Job] | None = None) -> dict[str, float]:
    lines = metrics.text(jobs or [], {"cuda:0": True, "cpu": False}).splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_jobs_are_counted_by_state() -> None:
    found = values(Metrics(), [a_job("queued"), a_job("queued"), a_job("done")])
    assert found['fast3r_jobs{state="queued"}'] == 2
    assert found['fast3r_jobs{state="done"}'] == 1
    assert found['fast3r_jobs{state="failed"}'] == 0


def test_stages_are_counted_and_timed() -> None:
    metrics = Metrics()
    metrics.job_ended(a_job("done", 0.1, 0.5))
    metrics.job_ended(a_job("failed", 5000.0))
    found = values(metrics)
    assert found['fast3r_stage_seconds_count{stage="cameras"}'] == 3
    assert found['fast3r_stage_seconds_sum{stage="cameras"}'] == 5000.6


def test_restarts_refusals_and_uploads_are_counted() -> None:
    metrics = Metrics()
    metrics.restarted("cpu")
    metrics.refused(HTTPStatus.TOO_MANY_REQUESTS)
    metrics.uploaded(1000)
    found = values(metrics)
    assert found['fast3r_worker_restarts_total{device="cpu"}'] == 1
    assert found['fast3r_worker_restarts_total{device="cuda:0"}'] == 0
    assert found['fast3r_worker_ready{device="cuda:0"}'] == 1
    assert found['fast3r_requests_refused_total{status="429"}'] == 1
    assert found["fast3r_uploaded_bytes_total"] == 1000


def test_each_family_has_one_help_and_one_type() -> None:
    metrics = Metrics()
    metrics.job_ended(a_job("done", 1.0))
    lines = metrics.text([], {}).splitlines()
    for word in ("HELP", "TYPE"):
        families = [line.split()[2] for line in lines if line.startswith(f"# {word}")]
        assert len(families) == len(set(families)) == 7


def test_label_values_are_escaped() -> None:
    text = Metrics().text([], {'a"b\\c\nd': True})
    assert r'{device="a\"b\\c\nd"}' in text
