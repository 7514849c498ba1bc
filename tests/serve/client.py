"""A service in a process of its own, and a client that can also misbehave."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fast3r.serve.settings import KEY_VARIABLE

FAKE_COMMAND = (sys.executable, "-S", "-E", str(Path(__file__).with_name("fake_worker.py")))
"""Starts the fake worker."""

_STARTUP_S = 120.0

ENDED = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class Answer:
    """What the service said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Speaks HTTP to one service."""

    port: int
    key: str | None = None

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key is not None:
            sent.setdefault("Authorization", f"Bearer {self.key}")
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            known = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, known, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def submit(self, *files: bytes | tuple[str, bytes], **fields: object) -> Answer:
        named = [f if isinstance(f, tuple) else (f"{i}.jpg", f) for i, f in enumerate(files)]
        kind, body = multipart(named, fields)
        return self.request("POST", "/v1/jobs", body, Content_Type=kind)

    def status(self, job_id: str) -> Any:
        answer = self.get(f"/v1/jobs/{job_id}")
        assert answer.status == 200, answer
        return answer.json

    def wait(self, job_id: str, *states: str, timeout_s: float = 60.0) -> Any:
        """Return the status of a job once it is in one of these states, by default an end."""
        deadline = time.monotonic() + timeout_s
        while (status := self.status(job_id))["state"] not in (states or ENDED):
            assert time.monotonic() < deadline, status
            time.sleep(0.02)
        return status

    def wait_ready(self) -> None:
        deadline = time.monotonic() + _STARTUP_S
        while self.get("/health").status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def raw(self, sent: bytes) -> socket.socket:
        """Return a connection over which these bytes were sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(sent)
        return connection


def multipart(
    files: Iterable[tuple[str, bytes]], fields: Mapping[str, object], *, part: str = "files"
) -> tuple[str, bytes]:
    """Return content type and body of a form; a field may be a list."""
    boundary = uuid.uuid4().hex
    parts = [(f'name="{part}"; filename="{name}"', content) for name, content in files]
    for name, values in fields.items():
        for value in values if isinstance(values, (list, tuple)) else [values]:
            parts.append((f'name="{name}"', str(value).encode()))
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for head, content in parts
    )
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def assert_refused(answer: Answer, status: int, *words: str) -> None:
    """Check that the answer is a problem that says what is wrong."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["title"]
    for word in words:
        assert word in answer.json["detail"]


def post(client: Client, body: bytes, kind: str = "multipart/form-data; boundary=x") -> Answer:
    return client.request("POST", "/v1/jobs", body, Content_Type=kind)


class Server:
    """A service in a process, which the end of a `with` block stops."""

    def __init__(self, folder: Path, *arguments: object, **environment: str) -> None:
        """Start `python *arguments`, which prints the service's address."""
        self.folder = folder
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.PIPE,
            # A pipe that nobody reads would fill up, and the service wait.
            stderr=self._log,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        if not self.address:
            self._process.wait()
            raise AssertionError(self.log)
        self.client = Client(int(self.address.rpartition(":")[2]), environment.get(KEY_VARIABLE))

    @property
    def log(self) -> str:
        """What it has logged so far."""
        self._log.seek(0)
        return self._log.read()

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=60)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far, line by line."""
        return [json.loads(line) for line in self.log.splitlines()]


def cli_server(folder: Path, *options: object, **environment: str) -> Server:
    """Start `fast3r serve` on a free port."""
    command = ("-m", "fast3r", "serve", "--folder", folder, "--port", 0, "--device", "cpu")
    return Server(folder, *command, *options, **environment)


def fake_server(
    folder: Path, *, key: str | None = None, model: str = "fake", **limits: float
) -> Server:
    """Start a service whose worker is the fake one."""
    settings = json.dumps({"folder": str(folder), "model": model, "limits": limits})
    environment = {} if key is None else {KEY_VARIABLE: key}
    return Server(folder, "-m", "tests.serve.fake_server", settings, **environment)


def worker_pids(server: Server) -> list[int]:
    """Return the children of a service, which are its workers."""
    found = subprocess.run(["pgrep", "-P", str(server.pid)], capture_output=True, check=True)
    return [int(pid) for pid in found.stdout.split()]


def lives(pid: int) -> bool:
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return found.stdout.strip()[:1] not in (b"", b"Z")
