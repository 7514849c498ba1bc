"""The worker as a process, with the bundled weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from fast3r.serve.messages import JobOptions
from fast3r.serve.wire import FROM_WORKER, Done, Order, Progress, Ready, Unfit, Upload

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def start(model: str, script: str = "") -> subprocess.Popen[bytes]:
    command = ["-c", script] if script else ["-m", "fast3r.serve.worker"]
    return subprocess.Popen(
        [sys.executable, *command, model, "cpu", "auto"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )


def test_a_worker_gets_ready_works_and_leaves_when_its_server_has_gone(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    Image.effect_noise((96, 64), 90).convert("RGB").save(tmp_path / "input/00000.png")
    order = Order(
        input_folder=tmp_path / "input",
        result_folder=tmp_path / "results",
        uploads=[Upload(name="été.png", file="00000.png")],
        options=JobOptions(formats=["cameras"]),
        max_views=5,
        max_pixels=10_000,
    )
    with start("small") as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(order.model_dump_json().encode() + b"\n")
        worker.stdin.flush()
        messages = [FROM_WORKER.validate_json(worker.stdout.readline())]
        while not isinstance(messages[-1], Done):
            messages.append(FROM_WORKER.validate_json(worker.stdout.readline()))
        worker.stdin.close()
        assert worker.wait(timeout=30) == 0
    assert isinstance(messages[0], Ready)
    assert all(isinstance(message, Progress) for message in messages[1:-1])
    written = json.loads((tmp_path / "results/cameras.json").read_text())
    assert written["views"][0]["name"] == "été.png"


def test_a_worker_says_what_it_does_whatever_libraries_print(tmp_path: Path) -> None:
    script = (
        "import os, sys; from fast3r.serve import worker; from fast3r.serve.wire import Unfit\n"
        "speaker = worker._Speaker(); print('hello'); os.system('echo hello')\n"
        "speaker.say(Unfit(message='é')); sys.stdout.flush()"
    )
    out, err = start("small", script).communicate(timeout=60)
    assert [FROM_WORKER.validate_json(line) for line in out.splitlines()] == [Unfit(message="é")]
    assert err.count(b"hello") == 2


def test_a_model_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    with start(str(tmp_path)) as worker:
        assert worker.stdout is not None
        (line,) = worker.stdout.readlines()
    assert isinstance(answer := FROM_WORKER.validate_json(line), Unfit)
    assert str(tmp_path) in answer.message


def test_what_a_worker_dies_of_is_logged_as_json() -> None:
    script = "from fast3r.serve import log; log.configure(); 1 / 0"
    _, err = start("small", script).communicate(timeout=60)
    (line,) = err.splitlines()
    assert json.loads(line)["event"] == "died of an error"
    assert "ZeroDivisionError" in json.loads(line)["traceback"]
