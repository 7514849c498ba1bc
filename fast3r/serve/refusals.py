"""How requests are refused: a status, a reason, and the way out (RFC 9457)."""

import asyncio
from contextlib import suppress
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from fast3r.serve.messages import Problem

MEDIA_TYPE = "application/problem+json"

_DRAINED_BYTES, _DRAINED_S = 64 << 20, 10.0
"""How much of a refused upload is taken in and thrown away."""


class Refusal(Exception):  # noqa: N818
    """A request that cannot be fulfilled."""

    def __init__(self, status: HTTPStatus, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def install(app: FastAPI) -> None:
    """Make an application answer every refusal with a `Problem`, those of its framework too."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _raised_by_framework)
    app.add_exception_handler(Exception, _broken)


async def _refused(request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    await _drain(request)
    return _answer(refusal.status, str(refusal), refusal.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = (f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors())
    return _answer(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(faults), {})


async def _raised_by_framework(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    await _drain(request)
    return _answer(HTTPStatus(error.status_code), error.detail, dict(error.headers or {}))


async def _broken(request: Request, error: Exception) -> JSONResponse:
    # What it was is logged, as the framework raises it again.
    detail = "a fault of the service, not of the request; its log tells more"
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, detail, {})


def _answer(status: HTTPStatus, detail: str, headers: dict[str, str]) -> JSONResponse:
    problem = Problem(title=status.phrase, status=status, detail=detail)
    return JSONResponse(problem.model_dump(), status, headers, MEDIA_TYPE)


async def _drain(request: Request) -> None:
    """Take in what is left of the body, so that the client comes to read the answer.

    Many clients send everything first, and would meet a broken connection. Those that ask before
    they send (`Expect: 100-continue`) are not encouraged to. Who has read the body to its end sets
    `request.state.body_taken`, as there is nothing more to wait for.
    """
    if "expect" in request.headers or getattr(request.state, "body_taken", False):
        return
    with suppress(asyncio.TimeoutError, ClientDisconnect, RuntimeError):
        await asyncio.wait_for(_discard(request), _DRAINED_S)


async def _discard(request: Request) -> None:
    taken = 0
    while taken < _DRAINED_BYTES:
        message = await request.receive()
        taken += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
