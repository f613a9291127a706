"""ASGI middleware: a request that lost a lock or a deadlock is tried again before anybody hears of it."""

import asyncio
import random

from starlette.types import ASGIApp, Message, Receive, Scope, Send

TRIES = 3
PAUSE_S = 0.1
"""Mean pause before the second try; doubled before the third. Random, so that rivals part."""


class Patience:
    """Runs the request again while its answer says `state.lock_lost`: its transaction was rolled back, nothing has happened.

    The body must come in one message, as `BodyLimit` hands it on. The last try's answer goes out whatever it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        body = await receive()
        for number in range(1, TRIES + 1):
            attempt = {**scope, "state": dict(scope.get("state", {}))}
            tried = _Try(attempt, body, receive, send, last=number == TRIES)
            await self.app(attempt, tried.receive, tried.send)
            if not tried.dropped:
                return
            await asyncio.sleep(random.uniform(0, 2 * PAUSE_S * number))


class _Try:
    """One run of the application whose answer is dropped when it lost a lock."""

    def __init__(self, scope: Scope, body: Message, receive: Receive, send: Send, *, last: bool) -> None:
        self.dropped = False
        self._scope, self._body, self._receive, self._send, self._last = scope, body, receive, send, last
        self._read = False

    async def receive(self) -> Message:
        if self._read:
            return await self._receive()
        self._read = True
        return self._body

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.dropped = not self._last and bool(self._scope["state"].get("lock_lost"))
        if not self.dropped:
            await self._send(message)
