"""Uploads that are too large are refused before they fill the disk."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from fast3r.viz.demo_app.reception import Reception
from fast3r.viz.demo_app.storage import Uploads

PATH = "/gradio_api/upload"


class Application:
    """Reads uploads and says that they became a file."""

    def __init__(self, file: Path) -> None:
        self.file, self.num_bytes = file, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.num_bytes = len(await Request(scope, receive).body())
        self.file.write_bytes(b"photo")
        await JSONResponse([str(self.file)])(scope, receive, send)


class Visitor:
    """Sends requests to an application behind a reception that admits 100 bytes."""

    def __init__(self, folder: Path) -> None:
        self.uploads = Uploads(folder)
        self.application = Application(folder / "a.jpg")
        self.reception = Reception(self.application, uploads=self.uploads, max_bytes=100)

    def send(
        self, body: bytes, *, length: int | None = None, path: str = PATH
    ) -> tuple[int, bytes]:
        """Return status and body of the answer; without a length the body comes in chunks."""
        headers = [] if length is None else [(b"content-length", b"%d" % length)]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        parts = iter([body[i : i + 30] for i in range(0, len(body), 30)])
        return asyncio.run(_answer(self.reception, scope, parts))


async def _answer(app: Any, scope: Scope, parts: Iterator[bytes]) -> tuple[int, bytes]:
    said: list[Message] = []

    async def receive() -> Message:
        part = next(parts, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    return said[0]["status"], b"".join(message.get("body", b"") for message in said)


@pytest.fixture
def visitor(tmp_path: Path) -> Visitor:
    return Visitor(tmp_path)


def test_an_upload_that_fits_comes_through_and_can_be_taken(visitor: Visitor, tmp_path) -> None:
    status, body = visitor.send(b"x" * 90, length=90)
    assert status == 200
    assert visitor.application.num_bytes == 90
    folder = tmp_path / "mine"
    folder.mkdir()
    assert len(visitor.uploads.take(json.loads(body), folder)) == 1


def test_an_upload_that_claims_too_much_is_refused_unread(visitor: Visitor) -> None:
    status, body = visitor.send(b"x" * 101, length=101)
    assert status == 413
    assert b"add fewer or smaller files" in body
    assert visitor.application.num_bytes == 0


def test_an_upload_that_turns_out_too_large_is_refused(visitor: Visitor) -> None:
    status, _ = visitor.send(b"x" * 1000)
    assert status == 413
    assert not visitor.application.file.exists()


def test_an_upload_that_would_fill_the_disk_is_refused(visitor: Visitor, monkeypatch) -> None:
    monkeypatch.setattr("fast3r.viz.demo_app.reception._FREE_BYTES", 1 << 60)
    status, body = visitor.send(b"x", length=1)
    assert status == 507
    assert b"disk of this demo is full" in body


def test_a_failed_upload_does_not_keep_other_files_from_going(visitor: Visitor, tmp_path) -> None:
    _, body = visitor.send(b"x", length=1)
    visitor.send(b"x" * 1000)
    folder = tmp_path / "mine"
    folder.mkdir()
    visitor.uploads.take(json.loads(body), folder)
    assert not visitor.application.file.exists()


def test_other_requests_are_not_looked_at(visitor: Visitor) -> None:
    status, _ = visitor.send(b"x" * 1000, length=1000, path="/gradio_api/queue/join")
    assert status == 200
    assert visitor.application.num_bytes == 1000
