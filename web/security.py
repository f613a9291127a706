"""ASGI middleware: security headers on every answer, bounded bodies, no cross-site writes."""

import re
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketplace.refusals import Refusal

MIB = 1 << 20
BODY_LIMIT = MIB
"""Bytes of a request body; the largest form or JSON document is far below."""
FILE_LIMIT = 8 * MIB
"""Of one that brings a file: a calendar of two million bytes, which JSON may write with up to four times as many; a document of
five MiB, which base64 makes a third longer."""
FILES = re.compile(
    r"/desk/resources/[^/]+/external(/[^/]+/file)?$|/resources/[^/]+/external-calendars(/[^/]+/refresh)?$"
    r"|/bookings/[^/]+/attestations$"
)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)
DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"

HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
}

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_COOKIE = "pb_csrf"


class ForgedRequest(Refusal):
    """A form that did not come from our own page."""

    code = "forged_request"


class TooLarge(Refusal):
    """A body of more bytes than its address takes. `mib` tells how many."""

    code = "too_large"


class SecurityHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", POLICY)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("strict-transport-security", "max-age=31536000; includeSubDomains")
            await send(message)

        await self.app(scope, receive, with_headers)


class BodyLimit:
    """Answers 413 to bodies over the limit of their address, whether they announce their length or not.

    `refuse` makes the answer, in a thread: a page may have to look up who asks.
    """

    def __init__(self, app: ASGIApp, refuse: Callable[[Request, Refusal], Response]) -> None:
        self.app, self._refuse = app, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        limit = FILE_LIMIT if FILES.search(scope["path"]) else BODY_LIMIT
        body = await _read(Headers(scope=scope), receive, limit)
        if body is not None:
            await self.app(scope, _replay(body, receive), send)
            return
        response = await run_in_threadpool(self._refuse, Request(scope), TooLarge(mib=limit // MIB))
        await response(scope, receive, send)


async def _read(headers: Headers, receive: Receive, limit: int) -> bytes | None:
    """The whole body; None where it is longer than `limit` or lies about its length."""
    announced = headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > limit:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def check_origin(request: Request) -> None:
    """Refuse writes that another site made the browser send, or one that hides who it is. Raises: ForgedRequest."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        raise ForgedRequest
    origin = request.headers.get("origin")
    hidden = origin == "null" and site == "same-origin"  # a browser that tells no page's address; pages cannot set the other
    if origin is not None and not hidden and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForgedRequest


def check_token(request: Request, token: str) -> None:
    """The hidden field must repeat the cookie. Raises: ForgedRequest."""
    cookie = request.cookies.get(CSRF_COOKIE, "")
    if not cookie or not secrets.compare_digest(cookie, token):
        raise ForgedRequest


def new_token() -> str:
    return secrets.token_urlsafe(24)
