"""A demo in a process of its own, as visitors meet it."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TextIO

from gradio_client import Client, handle_file

ROOT = Path(__file__).parents[2]
PHOTOS = sorted((ROOT / "examples" / "photos" / "banana").glob("*.jpg"))

# Python runs this at its start, and then calls it for every connection and every name looked up.
_WATCH = """
import os, sys

def watch(event, arguments):
    if event == "socket.connect":
        asked = arguments[1]
    elif event == "socket.getaddrinfo":
        asked = arguments[0]
    else:
        return
    with open(os.environ["WATCHED"], "a") as file:
        print(asked[0] if isinstance(asked, tuple) else asked, file=file)

sys.addaudithook(watch)
"""

_OPTIONS = ("--port", "0", "--device", "cpu", "--model", "small")


@dataclass(frozen=True)
class Demo:
    """A demo that answers."""

    url: str
    """Its address, as it printed it."""

    temporary: Path
    """Where it keeps all its files."""

    process: "subprocess.Popen[str]"
    """Where it runs."""

    log: TextIO
    """What it says on stderr."""

    def visitor(self) -> "Visitor":
        """Return somebody who has opened the page."""
        return Visitor(
            Client(self.url, verbose=False, analytics_enabled=False, download_files=self.temporary)
        )

    def asked(self) -> set[str]:
        """Return the machines that the demo connected to or looked up."""
        return set((self.temporary / "watched.txt").read_text().split())

    def said(self) -> str:
        """Return all that it has said on stderr."""
        self.log.seek(0)
        return self.log.read()

    def call(self, name: str, body: bytes) -> str:
        """Return what a program is told that skips the page and its checks."""
        url = f"{self.url}/gradio_api/call/{name}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            event = json.load(answer)["event_id"]
        with urllib.request.urlopen(f"{url}/{event}", timeout=20) as answer:
            return answer.read().decode()

    def files(self, folder: str) -> list[Path]:
        """Return the files in the demo's folder of uploads, or of another kind."""
        return [p for p in self.temporary.glob(f"fast3r-demo-*/{folder}/**/*") if p.is_file()]


@dataclass
class Visitor:
    """Somebody who uses the page, by its own requests."""

    client: Client

    def add(self, *files: Path) -> str:
        """Upload files and return what is then shown: pictures of them, and messages."""
        _, tray, status = self.client.predict(
            [handle_file(file) for file in files], api_name="/add"
        )
        return _text(tray) + _text(status)

    def begin(self, **wishes: Any) -> Any:
        """Press the button that starts."""
        usual = {"model": "small", "size": 0, "num_frames": 30, "percentile": 30, "refine": False}
        wishes = usual | wishes
        return self.client.submit(*wishes.values(), api_name="/reconstruct")

    def reconstruct(self, **wishes: Any) -> "Page":
        """Press it and wait."""
        return Page(*self.begin(**wishes).result(timeout=100))

    def stop(self) -> None:
        """Press the button that stops."""
        self.client.predict(api_name="/stop")

    def download(self, name: str) -> Path:
        """Fetch a file."""
        return Path(_value(self.client.predict(name, 30, api_name="/download")))


class Page:
    """What a visitor sees once it is over."""

    def __init__(self, status: Any, view: Any, cameras: Any, depth: Any) -> None:
        self.status, self.view = _text(status), _text(view)
        self.cameras, self.depth = _text(cameras), _text(depth)


def _value(update: Any) -> Any:
    """Return what a component holds after an update."""
    return update.get("value") if isinstance(update, dict) else update


def _text(update: Any) -> str:
    return _value(update) or ""


@contextmanager
def running_demo(*options: str, **environment: str) -> Iterator[Demo]:
    """Start a demo on a free port, and stop it in the end."""
    command = [sys.executable, str(ROOT / "fast3r" / "viz" / "demo.py"), *_OPTIONS, *options]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        (Path(folder) / "sitecustomize.py").write_text(_WATCH)
        environment |= {"TMPDIR": folder, "OMP_NUM_THREADS": "1"}
        environment |= {"PYTHONPATH": folder, "WATCHED": f"{folder}/watched.txt"}
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            env={**os.environ, **environment},
        ) as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            log.seek(0)
            assert url, f"the demo did not start: {log.read()}"
            try:
                yield Demo(url, Path(folder), process, log)
            finally:
                process.terminate()
                process.wait(30)


@contextmanager
def proxy(url: str, folder: str) -> Iterator[str]:
    """Give the address of a server that hands on what is asked of it in a folder."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            if not self.path.startswith(folder):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            upstream = HTTPConnection(url.removeprefix("http://"))
            path = self.path.removeprefix(folder) or "/"
            upstream.request(self.command, path, body, dict(self.headers))
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1(1 << 16):
                self.wfile.write(part)
                self.wfile.flush()
            upstream.close()

        do_GET = do_POST = do_HEAD = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def wait_until(condition: Any, *, seconds: float = 20.0) -> bool:
    """Return whether a condition holds before the time is over."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(condition())
