"""A stand-in for Stripe, clearly labelled: a small server that the real stripe-python speaks real HTTP to.

It checks every request against Stripe's own description, remembers answers by idempotency key, signs webhooks as Stripe does,
has pages to pay on, a clock that can be moved and faults that can be switched on at `/_stand_in`. No money moves; what it
knows is kept in a file where one is named, else nowhere.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse

from billing.providers.requests import Description
from billing.providers.stand_in import checkout, pages, passing, setting_up
from billing.providers.stand_in.answering import Answer, Asked, Fault, StandIn, answer, counts
from billing.providers.stand_in.shop import Refused, Shop
from marketplace import clock

LABEL = {"Pilotbench-Stand-In": "not-stripe"}
DELIVERIES = 3
DELIVERY_TIMEOUT_S = 5
LATEST_S = 60
"""So long a late answer waits at most to be let go."""


def create_app(
    *,
    secret: str = "whsec_stand_in",
    webhook_url: str | None = None,
    read_clock: Callable[[], datetime] = clock.now,
    kept: Path | None = None,
) -> FastAPI:
    """The stand-in as an ASGI app; `app.state.stand_in` is its state, and `kept` the file it outlives a stop in."""
    app = FastAPI(title="Stand-in for Stripe (no money moves)", docs_url=None, redoc_url=None, openapi_url=None)
    state = StandIn(Shop(read_clock), Description(), secret, webhook_url, kept=kept)
    state.load()
    app.state.stand_in = state
    release = asyncio.Event()

    async def api(request: Request) -> Response:
        state.shop.address = str(request.base_url).rstrip("/")
        asked = await _asked(request)
        answered = answer(state, asked)
        _deliver(state)
        if answered.fault is Fault.LATE_ANSWER:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(release.wait(), LATEST_S)
            state.in_flight.discard(asked.key or "")
        return _reply(answered)

    async def control(request: Request) -> Response:
        order = await request.json()
        if order.get("release"):
            release.set()
            release.clear()  # who waited is awake, who comes later waits
        return JSONResponse(steer(state, order), headers=LABEL)

    async def pay(request: Request, identity: str) -> Response:
        return visit(state, _paying, identity, await _choice(request), request.headers.get("accept-language", ""))

    async def authenticate(request: Request, identity: str) -> Response:
        return visit(state, _proving, identity, await _choice(request), request.headers.get("accept-language", ""))

    app.add_api_route("/_stand_in", control, methods=["POST"])
    app.add_api_route("/v1/{rest:path}", api, methods=["GET", "POST", "DELETE"])
    app.add_api_route("/pay/{identity}", pay, methods=["GET", "POST"])
    app.add_api_route("/authenticate/{identity}", authenticate, methods=["GET", "POST"])
    return app


def run(port: int, *, secret: str = "whsec_stand_in", webhook_url: str | None = None) -> None:
    """Serve on loopback until stopped."""
    app = create_app(secret=secret, webhook_url=webhook_url)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", access_log=False)


def steer(state: StandIn, order: Mapping[str, Any]) -> Mapping[str, Any]:
    """Switch and move things; answers with counts.

    {"fault": name} once, {"advance_s": seconds}, {"fee_delay_s": seconds}, {"webhook_url": address}, {"release": true} for
    late answers.
    """
    with state.lock:
        if "fault" in order:
            state.faults.append(Fault(order["fault"]))
        if "fee_delay_s" in order:
            state.shop.fee_delay = timedelta(seconds=order["fee_delay_s"])
        if "advance_s" in order:
            passing.advance(state.shop, timedelta(seconds=order["advance_s"]))
        if "webhook_url" in order:
            state.webhook_url = order["webhook_url"]
        _deliver(state)
        state.save()
        return counts(state)


async def _asked(request: Request) -> Asked:
    told = request.headers
    body = (await request.body()).decode()
    return Asked(
        request.method,
        request.url.path,
        request.url.query,
        body,
        told.get("authorization", ""),
        told.get("idempotency-key") if request.method == "POST" else None,
    )


async def _choice(request: Request) -> str | None:
    """The button that was pressed on a page; None where it is only looked at."""
    return dict(parse_qsl((await request.body()).decode())).get("choice", "") if request.method == "POST" else None


def visit(
    state: StandIn, page: Callable[[StandIn, str, str | None, str], Response], identity: str, choice: str | None, language: str
) -> Response:
    """Let a payer look at a page or press a button on it."""
    with state.lock:
        passing.catch_up(state.shop)
        try:
            shown = page(state, identity, choice, language)
        except Refused as refused:
            shown = JSONResponse(refused.body, refused.status, headers=LABEL)
        _deliver(state)
        state.save()
        return shown


def _paying(state: StandIn, identity: str, choice: str | None, accepted: str) -> Response:
    session = state.shop.get("checkout.session", identity)
    checkout.settle(state.shop, session)
    language = pages.language_of(session["locale"], accepted)
    if choice == "cancel" and session["cancel_url"]:
        return _to(session["cancel_url"])
    try:
        challenge = checkout.pay(state.shop, session, choice) if choice and session["status"] == "open" else None
    except Refused as refused:
        declined = str(refused.body["error"]["code"])
        return HTMLResponse(pages.payment(session, language, declined=declined), 402, headers=LABEL)
    if challenge:
        return _to(challenge)
    if session["status"] == "complete":
        return _to(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]))
    return HTMLResponse(pages.payment(session, language), headers=LABEL)


def _proving(state: StandIn, identity: str, choice: str | None, accepted: str) -> Response:
    intent = setting_up.challenged(state.shop, identity)
    back = (intent["next_action"].get("redirect_to_url") or {}).get("return_url")
    if choice not in {"yes", "no"} or not back:
        return HTMLResponse(pages.challenge(pages.language_of(None, accepted)), headers=LABEL)
    (setting_up.proved if choice == "yes" else setting_up.not_proved)(state.shop, identity)
    return _to(back)


def _to(address: str) -> Response:
    return RedirectResponse(address, 303, headers=LABEL)


def _reply(answered: Answer) -> Response:
    if answered.fault is Fault.ANSWER_LOST:
        return StreamingResponse(_broken(), headers={"content-length": "1000", **LABEL})
    return Response(answered.body, answered.status, media_type="application/json", headers=LABEL)


async def _broken() -> AsyncIterator[bytes]:
    """The connection breaks in the middle of the answer: it was carried out, and nobody heard."""
    yield b"{"
    raise ConnectionAbortedError


def sign(body: str, secret: str, at: datetime) -> str:
    """The `Stripe-Signature` header of a webhook."""
    stamp = int(at.timestamp())
    digest = hmac.new(secret.encode(), f"{stamp}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def _deliver(state: StandIn) -> None:
    """Hand fresh events to the sender, in order, doubled, turned round or late as the faults say."""
    events, state.shop.fresh = state.shop.fresh, []
    if not state.webhook_url or not events:
        return
    if state.take_fault(Fault.REORDER_EVENTS):
        events.reverse()
    if state.take_fault(Fault.DUPLICATE_EVENTS):
        events = [event for event in events for _ in range(2)]
    at = state.shop.now - timedelta(hours=1 if state.take_fault(Fault.STALE_EVENTS) else 0)
    for event in events:
        state.sender.submit(_send, state.webhook_url, json.dumps(event), state.secret, at)


def _send(url: str, body: str, secret: str, at: datetime) -> None:
    """Try a few times; what never arrives is found by the sweep of /v1/events."""
    headers = {"Stripe-Signature": sign(body, secret, at), "Content-Type": "application/json", **LABEL}
    for _ in range(DELIVERIES):
        try:
            if httpx2.post(url, content=body, headers=headers, timeout=DELIVERY_TIMEOUT_S).is_success:
                return
        except httpx2.HTTPError:
            continue
