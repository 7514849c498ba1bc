"""The service over HTTP: the life of a job, and what who runs it sees."""

import http.client
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.serve.client import (
    Client,
    Server,
    assert_refused,
    fake_server,
    lives,
    worker_pids,
)
from tests.serve.conftest import QUEUE


def test_a_job_lives_from_submission_to_deletion(client: Client) -> None:
    accepted = client.submit(b"ok", b"photo", seed=7)
    assert accepted.status == 202
    job_id = accepted.json["id"]
    assert accepted.headers["location"] == f"/v1/jobs/{job_id}"
    status = client.wait(job_id)
    assert status["state"] == "done"
    assert status["files"] == 2
    assert status["share"] == 1
    assert status["ended"] < status["expires"]
    (result,) = status["results"]
    fetched = client.get(result["href"])
    assert fetched.headers["content-type"] == result["media_type"] == "application/json"
    assert len(fetched.body) == result["bytes"]
    assert fetched.json["seed"] == 7
    assert client.request("DELETE", f"/v1/jobs/{job_id}").status == 204
    assert_refused(client.get(f"/v1/jobs/{job_id}"), 404, "expired")


def test_a_running_job_can_be_cancelled(client: Client) -> None:
    job_id = client.submit(b"sleep 60").json["id"]
    client.wait(job_id, "running")
    cancelled = client.request("POST", f"/v1/jobs/{job_id}/cancel")
    assert cancelled.status == 200
    assert cancelled.json["state"] == "cancelled"
    assert client.wait(client.submit(b"ok").json["id"])["state"] == "done"


def test_formats_may_be_repeated_or_separated_by_commas(client: Client) -> None:
    answer = client.submit(b"ok", formats=["ply, npz", "glb"])
    assert answer.json["options"]["formats"] == ["cameras", "ply", "npz", "glb"]


def test_thirty_at_once_are_accepted_or_told_to_come_back_and_none_is_lost(
    client: Client,
) -> None:
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda i: client.submit(b"sleep 0.05", seed=i), range(30)))
    accepted = [answer for answer in answers if answer.status == 202]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(accepted) + len(refused) == 30
    assert len(accepted) >= QUEUE
    assert refused
    for answer in refused:
        assert_refused(answer, 429, "queue is full")
        assert 1 <= int(answer.headers["retry-after"]) <= 120
    for answer in accepted:
        status = client.wait(answer.json["id"])
        assert status["state"] == "done"
        assert client.get(status["results"][0]["href"]).json["seed"] == status["options"]["seed"]


def test_a_slow_upload_does_not_keep_others_waiting(client: Client) -> None:
    slow = client.raw(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                      b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")  # fmt: skip
    start = time.monotonic()
    assert client.wait(client.submit(b"ok").json["id"])["state"] == "done"
    assert time.monotonic() - start < 1.8
    slow.close()


def test_a_fault_of_the_service_is_said_to_be_one(client: Client, server: Server) -> None:
    job_id = client.submit(b"ok").json["id"]
    client.wait(job_id)
    shutil.rmtree(server.folder / "jobs" / job_id / "results")
    assert_refused(client.get(f"/v1/jobs/{job_id}"), 500, "a fault of the service")


def test_health_and_metrics_tell_how_the_service_is(client: Client) -> None:
    client.wait(client.submit(b"ok").json["id"])
    health = client.get("/health")
    assert health.status == 200
    assert health.json["workers"] == [{"device": "cpu", "ready": True, "busy": False}]
    assert client.get("/health/live").body == b"alive\n"
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'fast3r_stage_seconds_count{stage="pointmaps"}' in metrics.body


def test_a_service_whose_model_is_not_loaded_is_alive_but_not_ready(tmp_path: Path) -> None:
    with fake_server(tmp_path, model="stillborn") as server:
        assert server.client.get("/health/live").status == 200
        health = server.client.get("/health")
        assert health.status == 503
        assert health.json["ready"] is False
        # Jobs are accepted all the same, and wait.
        assert server.client.submit(b"ok").json["state"] == "queued"


def test_the_page_describes_everything_and_loads_nothing(client: Client) -> None:
    page = client.get("/docs").body.decode()
    described = client.get("/openapi.json").json
    for path in described["paths"]:
        assert f"<code>{path}</code>" in page
    for name in described["components"]["schemas"]:
        assert f'id="{name}"' in page
    assert "<script" not in page
    assert "src=" not in page
    assert 'href="http' not in page


def test_a_key_guards_jobs_and_metrics_and_is_never_logged(tmp_path: Path) -> None:
    key = "correct-horse-battery"
    with fake_server(tmp_path, key=key) as server:
        client, stranger = server.client, Client(server.client.port)
        for asked in (stranger, Client(client.port, key="wrong"), Client(client.port, key="")):
            refused = asked.submit(b"ok")
            assert_refused(refused, 401, "Authorization: Bearer KEY")
            assert refused.headers["www-authenticate"] == "Bearer"
            assert asked.get("/metrics").status == 401
            assert asked.get(f"/v1/jobs/{'0' * 32}").status == 401
        assert stranger.get("/v1/jobs/x", Authorization=f"Basic {key}").status == 401
        assert stranger.get("/health/live").status == 200
        assert stranger.get("/docs").status == 200
        job_id = client.submit(("holiday.jpg", b"ok")).json["id"]
        assert client.wait(job_id)["state"] == "done"
        # With a key it may stand behind a proxy, under any name.
        assert client.get(f"/v1/jobs/{job_id}", Host="fast3r.example").status == 200
        assert client.get("/metrics").status == 200
        # Who decodes strangers' files need not know it.
        (worker,) = worker_pids(server)
        if (environment := Path(f"/proc/{worker}/environ")).exists():
            assert key not in environment.read_text()
        client.wait(client.submit(b"die-once").json["id"])
        assert server.stop() == 0
        for secret in (key, job_id, "holiday"):
            assert secret not in server.log
        assert job_id[:8] in server.log
        events = [line["event"] for line in server.lines]
        for event in ("worker ready", "job accepted", "job begun", "job waits again", "job done"):
            assert event in events
        accepted = [line for line in server.lines if line.get("status") == 202]
        assert accepted[0]["event"] == "request"
        assert accepted[0]["route"] == "/v1/jobs"


def test_a_killed_service_takes_its_worker_along_and_finishes_its_jobs_later(
    tmp_path: Path,
) -> None:
    with fake_server(tmp_path) as server:
        first = server.client.submit(b"sleep 1").json["id"]
        second = server.client.submit(b"ok").json["id"]
        server.client.wait(first, "running")
        (worker,) = worker_pids(server)
        server.kill()
    deadline = time.monotonic() + 10
    while lives(worker):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with fake_server(tmp_path) as server:
        assert server.client.wait(first)["state"] == "done"
        assert server.client.wait(second)["state"] == "done"


def test_a_service_that_is_told_to_stop_does_so_at_once_and_exits_well(tmp_path: Path) -> None:
    with fake_server(tmp_path) as server:
        job_id = server.client.submit(b"sleep 60").json["id"]
        server.client.wait(job_id, "running")
        (worker,) = worker_pids(server)
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 30  # the job would have taken 60
        assert not lives(worker)
        last = server.lines[-1]
    assert (last["event"], last["waiting"]) == ("stopped", 1)


def test_answers_to_one_connection_come_without_delay(client: Client) -> None:
    """Forty milliseconds would be two algorithms of TCP waiting for each other."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        connection.request("GET", "/health/live")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - start)
    connection.close()
    assert sorted(seconds)[10] < 0.03
