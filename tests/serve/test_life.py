"""`fast3r serve` with the bundled weights, from start to end."""

import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.ply_points import read_points
from tests.serve.client import Server, cli_server, lives, worker_pids


def photos(count: int, *, width: int = 160, height: int = 120) -> list[tuple[str, bytes]]:
    """Return photos of a wall that a camera walks along."""
    wall = np.random.default_rng(0).integers(0, 256, (30, 60, 3), np.uint8)
    picture = Image.fromarray(wall).resize((4 * width, height), Image.Resampling.BICUBIC)
    made = []
    for index in range(count):
        left = 3 * width * index // max(count, 2)
        file = io.BytesIO()
        picture.crop((left, 0, left + width, height)).save(file, "JPEG")
        made.append((f"../wall/{index}.jpg", file.getvalue()))
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with cli_server(tmp_path_factory.mktemp("service"), "--max-queue", 8) as server:
        server.client.wait_ready()
        yield server


def test_photos_become_every_kind_of_result(server: Server, tmp_path: Path) -> None:
    client = server.client
    answer = client.submit(*photos(3), formats=["ply,colmap-text", "html"], size=64)
    status = client.wait(answer.json["id"])
    assert status["state"] == "done", status
    assert status["outcome"] == {"used": 3, "registered": 3, "left_out": []}
    found = {result["format"]: client.get(result["href"]) for result in status["results"]}
    assert set(found) == {"report", "cameras", "ply", "colmap-text", "html"}
    views = found["cameras"].json["views"]
    assert [view["name"] for view in views] == ["0.jpg", "1.jpg", "2.jpg"]
    assert (views[0]["width"], views[0]["height"]) == (160, 120)
    (tmp_path / "scene.ply").write_bytes(found["ply"].body)
    assert len(read_points(tmp_path / "scene.ply").points) > 1000
    assert (
        "colmap/sparse/0/images.txt"
        in zipfile.ZipFile(io.BytesIO(found["colmap-text"].body)).namelist()
    )
    assert b"<html" in found["html"].body[:1000].lower()
    assert 'filename="scene.html"' in found["html"].headers["content-disposition"]
    assert found["report"].json["model"] == "small"
    assert str(server.folder) not in found["report"].body.decode()


def test_what_is_no_photo_fails_with_the_reason(server: Server) -> None:
    answer = server.client.submit(("notes.txt", b"hello"))
    status = server.client.wait(answer.json["id"])
    assert status["state"] == "failed"
    assert status["error"] == {
        "kind": "bad_input",
        "message": "notes.txt cannot be used: not an image in a format that can be read",
        "retryable": False,
    }


def begun(server: Server, count: int) -> str:
    """Return a job of several seconds that the network is busy with."""
    job_id = server.client.submit(*photos(count), size=256).json["id"]
    while server.client.status(job_id)["stage"] != "encoder and fusion":
        time.sleep(0.01)
    return job_id


@pytest.mark.slow
def test_jobs_survive_the_death_of_worker_and_server(tmp_path: Path) -> None:
    with cli_server(tmp_path) as server:
        server.client.wait_ready()
        first = begun(server, 12)
        (worker,) = worker_pids(server)
        os.kill(worker, signal.SIGKILL)
        assert server.client.wait(first, timeout_s=120)["state"] == "done"
        second = begun(server, 12)
        (worker,) = worker_pids(server)
        server.kill()
    deadline = time.monotonic() + 10
    while lives(worker):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    job = json.loads((tmp_path / "jobs" / second / "job.json").read_text())
    assert job["state"] == "running"
    with cli_server(tmp_path) as server:
        status = server.client.wait(second, timeout_s=120)
        assert status["state"] == "done"
        assert status["outcome"]["used"] == 12
        assert server.client.status(first)["state"] == "done"
