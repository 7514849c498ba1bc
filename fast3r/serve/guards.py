"""Who may ask: holders of the key, and without a key no web page of somebody else."""

import hashlib
import hmac
from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.security import HTTPBearer

from fast3r.serve.refusals import Refusal
from fast3r.serve.settings import Settings

_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}

bearer = HTTPBearer(
    auto_error=False,
    description="The key of this service, if it has one: `Authorization: Bearer KEY`.",
)
"""How the OpenAPI page describes the key."""


def check_key(request: Request, settings: Settings) -> None:
    """Refuse a request without the key, where there is one.

    Raises:
        Refusal: The key is missing or wrong.
    """
    if settings.api_key is None:
        return
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    # Digests, as comparing takes a time that tells the length.
    given, wanted = (hashlib.sha256(k.encode()).digest() for k in (key.strip(), settings.api_key))
    if scheme.lower() != "bearer" or not hmac.compare_digest(given, wanted):
        raise Refusal(
            HTTPStatus.UNAUTHORIZED,
            "this service wants its key: send 'Authorization: Bearer KEY'",
            WWW_Authenticate="Bearer",
        )


def check_origin(request: Request, settings: Settings) -> None:
    """Refuse what a browser sends on behalf of another site's page.

    Without a key whoever reaches the service may use it, and so could every page that is open in
    a browser that does: directly, or under a name of its own that it lets point here.

    Raises:
        Refusal: The request comes from such a page, or under such a name.
    """
    if settings.api_key is not None:
        return
    host = request.headers.get("host", "")
    if settings.local and _hostname(f"//{host}") not in _LOCAL_NAMES:
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "without an API key this service answers under local names only, such as localhost",
        )
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        raise Refusal(HTTPStatus.FORBIDDEN, "pages of other sites may not use this service")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
