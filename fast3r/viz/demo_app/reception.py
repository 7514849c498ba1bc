"""Refuses uploads that are too large, before they fill the disk, and counts those that come in.

It stands between the web server and Gradio, which only limits single files.
"""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fast3r.viz.demo_app.storage import Uploads

_FREE_BYTES = 1 << 30
"""Disk space that uploads leave free."""


class Reception:
    """Watches the uploads of a Gradio application."""

    def __init__(self, app: ASGIApp, *, uploads: Uploads, max_bytes: int) -> None:
        """Stand before an application."""
        self._app = app
        self._uploads = uploads
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do it."""
        is_upload = scope["type"] == "http" and scope["path"].endswith("/gradio_api/upload")
        if not is_upload or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(_content_length(scope))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        answer = _Answer(send)
        self._uploads.begin()
        try:
            await self._admitted(scope, receive, answer)
        finally:
            self._uploads.end(answer.files())

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application take an upload, but not more of it than is allowed."""
        num_bytes = 0

        async def receive_limited() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            return {"type": "http.disconnect"} if num_bytes > self._max_bytes else message

        try:
            await self._app(scope, receive_limited, send)
        except ClientDisconnect:
            if num_bytes > self._max_bytes:
                await self._too_large()(scope, receive, send)

    def _refusal(self, num_bytes: int) -> PlainTextResponse | None:
        if num_bytes > self._max_bytes:
            return self._too_large()
        if shutil.disk_usage(self._uploads.folder).free < num_bytes + _FREE_BYTES:
            return PlainTextResponse("the disk of this demo is full; try later", status_code=507)
        return None

    def _too_large(self) -> PlainTextResponse:
        limit = f"{self._max_bytes / 2**20:g} MiB"
        return PlainTextResponse(
            f"more than {limit} at once; add fewer or smaller files", status_code=413
        )


class _Answer:
    """Passes an answer on, and keeps it."""

    def __init__(self, send: Callable[[Message], Any]) -> None:
        self._send = send
        self._body = b""
        self._is_good = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_good = message["status"] == 200
        self._body += message.get("body", b"")
        await self._send(message)

    def files(self) -> list[str]:
        """Return the files that came in."""
        if self._is_good:
            with suppress(ValueError):
                return json.loads(self._body)
        return []


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
