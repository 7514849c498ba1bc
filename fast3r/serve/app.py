"""The web application: routes, refusals, log lines and headers around a running service."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fast3r import __version__
from fast3r.serve import refusals, routes
from fast3r.serve.crew import OnCrash
from fast3r.serve.log import tell
from fast3r.serve.messages import Problem
from fast3r.serve.service import running
from fast3r.serve.settings import Settings
from fast3r.serve.store import Store

_ABOUT = """Photos or a video in, cameras and 3D points out.

Submit a job, follow it until its `state` is `done`, fetch its results:

    curl --form files=@1.jpg --form files=@2.jpg --form formats=html http://HOST/v1/jobs
    curl http://HOST/v1/jobs/ID
    curl --remote-name --remote-header-name http://HOST/v1/jobs/ID/results/html

If the service has a key, add `--header "Authorization: Bearer KEY"` to each. Every refusal is a
`Problem` that says what is wrong and the way out. Jobs survive a restart of the service. Photos
are deleted when their job ends, results some time later; `expires` tells when."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Nothing that we send may load anything, or act on behalf of who looks at it.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}

_WATCHED = ("/health", "/health/live", "/metrics", "/v1/jobs/{job_id}")
"""What programs ask for every few seconds; logged only where it is refused."""


def create_app(settings: Settings, store: Store, *, on_crash: OnCrash) -> FastAPI:
    """Return the application; its service runs between its startup and its shutdown.

    Args:
        settings: Of the service.
        store: Its folder.
        on_crash: Learns of what must end the service.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings, store, on_crash=on_crash) as app.state.service:
            yield

    app = _Application(
        title="fast3r",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    refusals.install(app)
    routes.include_in(app, with_key=settings.api_key is not None)
    app.add_middleware(_Wrapped)
    return app


class _Application(FastAPI):
    """Describes refusals too, which no route returns by itself."""

    def openapi(self) -> dict[str, Any]:
        described = super().openapi()
        described["components"]["schemas"][Problem.__name__] = Problem.model_json_schema()
        return described


class _Wrapped:
    """Adds headers to each answer, and logs it without what identifies a job or a client."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def send_wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            await self._app(scope, receive, send_wrapped)
        finally:
            self._note(scope, status, time.perf_counter() - start)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        # The pattern, as the path holds the id of the job.
        route = getattr(scope.get("route"), "path", "unknown")
        refused = status >= HTTPStatus.BAD_REQUEST and route != "/health"
        if refused:
            scope["app"].state.service.metrics.refused(HTTPStatus(status))
        if refused or route not in _WATCHED:
            tell(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                milliseconds=round(1000 * seconds, 1),
            )
