"""A stand-in for Stripe, clearly labelled: a small server that the real stripe-python speaks real HTTP to.

It checks every request against Stripe's own description, remembers answers by idempotency key, signs webhooks as Stripe does,
has a clock that can be moved and faults that can be switched on at `/_stand_in`. No money moves; what it knows is kept in a
file where one is named, else nowhere.
"""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from threading import RLock
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from billing.providers.requests import Described, Description, Undescribed
from billing.providers.shop import Refused, Shop, Thing
from marketplace import clock

LABEL = {"Pilotbench-Stand-In": "not-stripe"}
KEY_LIFE = timedelta(hours=24)
DELIVERIES = 3
DELIVERY_TIMEOUT_S = 5
PAGE = 10


class Fault(StrEnum):
    """What may go wrong once, at the next request that changes something, or at the next delivery."""

    ANSWER_LOST = "answer_lost"
    SAVED_500 = "saved_500"
    DUPLICATE_EVENTS = "duplicate_events"
    REORDER_EVENTS = "reorder_events"


@dataclass
class Answer:
    """A remembered answer, under the request it belongs to."""

    request: tuple[str, str]
    status: int
    body: Thing
    at: datetime


@dataclass
class StandIn:
    """The server's whole state, and the lock that makes its requests one after the other."""

    shop: Shop
    description: Description
    secret: str
    webhook_url: str | None
    kept: Path | None = None
    answers: dict[str, Answer] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    lock: Any = field(default_factory=RLock)
    sender: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "stand-in-webhooks"))

    def take_fault(self, *kinds: Fault) -> Fault | None:
        found = next((fault for fault in self.faults if fault in kinds), None)
        if found:
            self.faults.remove(found)
        return found


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
    if kept and kept.exists():
        state.shop.load(kept.read_bytes())
    app.state.stand_in = state

    async def api(request: Request) -> Response:
        body = (await request.body()).decode()
        return answer(state, request.method, request.url.path, request.url.query, body, request.headers)

    async def control(request: Request) -> Response:
        return JSONResponse(steer(state, await request.json()), headers=LABEL)

    app.add_api_route("/_stand_in", control, methods=["POST"])
    app.add_api_route("/v1/{rest:path}", api, methods=["GET", "POST", "DELETE"])
    return app


def run(port: int, *, secret: str = "whsec_stand_in", webhook_url: str | None = None) -> None:
    """Serve on loopback until stopped."""
    app = create_app(secret=secret, webhook_url=webhook_url)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", access_log=False)


def steer(state: StandIn, order: Mapping[str, Any]) -> dict[str, Any]:
    """{"fault": name} once, {"advance_s": seconds}, {"webhook_url": address}; answers with counts."""
    with state.lock:
        if "fault" in order:
            state.faults.append(Fault(order["fault"]))
        if "advance_s" in order:
            state.shop.advance(timedelta(seconds=order["advance_s"]))
        if "webhook_url" in order:
            state.webhook_url = order["webhook_url"]
        _deliver(state)
        kinds = [thing["object"] for thing in state.shop.things.values()]
        return {"events": len(state.shop.events), "objects": {kind: kinds.count(kind) for kind in sorted(set(kinds))}}


def answer(state: StandIn, method: str, path: str, query: str, body: str, headers: Mapping[str, str]) -> Response:
    """One request: authorised, described, replayed or carried out, remembered, told."""
    with state.lock:
        if not headers.get("authorization", "").startswith("Bearer sk_test_"):
            return _reply(401, Refused(401, "api_key", "Invalid API Key provided: use sk_test_...").body)
        try:
            described = state.description.read(method, path, query, body)
        except Undescribed as error:
            return _reply(400, Refused(400, "parameter_unknown", str(error)).body)
        key = headers.get("idempotency-key") if method == "POST" else None
        fault = state.take_fault(Fault.ANSWER_LOST, Fault.SAVED_500) if method == "POST" else None
        status, answered = _once(state, key, (path, body), lambda: _carry_out(state.shop, method, described, fault))
        _deliver(state)
        if state.kept and method != "GET":
            draft = state.kept.with_suffix(".draft")
            draft.write_bytes(state.shop.dump())
            draft.replace(state.kept)
        return _lost() if fault is Fault.ANSWER_LOST else _reply(status, answered)


def _once(state: StandIn, key: str | None, request: tuple[str, str], act: Callable[[], tuple[int, Thing]]) -> tuple[int, Thing]:
    """The answer kept for the key, faults included, or a new one that is kept."""
    known = state.answers.get(key or "")
    if known and state.shop.now - known.at < KEY_LIFE:
        if known.request != request:
            said = "Keys for idempotent requests can only be used with the same parameters"
            return 400, Refused(400, "idempotency_key_in_use", said, "idempotency_error").body
        return known.status, known.body
    status, body = act()
    if key:
        state.answers[key] = Answer(request, status, body, state.shop.now)
    return status, body


def _carry_out(shop: Shop, method: str, described: Described, fault: Fault | None) -> tuple[int, Thing]:
    if fault is Fault.SAVED_500:
        return 500, Refused(500, "api_error", "Something went wrong on our end", "api_error").body
    try:
        thing = _change(shop, described) if method == "POST" else _show(shop, described)
        return 200, _expanded(shop, thing, described.values.get("expand", []))
    except Refused as refused:
        return refused.status, refused.body


def _change(shop: Shop, described: Described) -> Thing:
    values, intent = described.values, described.ids[0] if described.ids else ""
    match described.template:
        case "/v1/customers":
            return shop.create_customer(values)
        case "/v1/payment_intents":
            return shop.create_intent(values)
        case "/v1/payment_intents/{intent}/capture":
            return shop.capture(shop.get("payment_intent", intent), values)
        case "/v1/payment_intents/{intent}/cancel":
            return shop.cancel(shop.get("payment_intent", intent), values)
        case "/v1/refunds":
            return shop.refund(values)
        case "/v1/transfers":
            return shop.transfer(values)
        case other:
            raise Refused(400, "not_in_stand_in", f"The stand-in does not do {other}")


def _show(shop: Shop, described: Described) -> Thing:
    kind = described.template.split("/")[2].removesuffix("s")
    if described.ids:
        return shop.get(kind, described.ids[0]) if kind != "event" else _event(shop, described.ids[0])
    things = shop.events if kind == "event" else shop.all(kind)
    return _page(described.template, [thing for thing in reversed(things) if _matches(thing, described.values)], described.values)


def _event(shop: Shop, identity: str) -> Thing:
    found = next((event for event in shop.events if event["id"] == identity), None)
    if found is None:
        raise Refused(404, "resource_missing", f"No such event: '{identity}'")
    return found


def _matches(thing: Thing, values: Mapping[str, Any]) -> bool:
    since = values.get("created", {})
    after = since.get("gte", 0) if isinstance(since, Mapping) else since
    wanted = {name: values[name] for name in ("transfer_group", "customer", "payment_intent", "source", "type") if name in values}
    return thing["created"] >= after and all(thing.get(name) == value for name, value in wanted.items())


def _page(url: str, newest_first: list[Thing], values: Mapping[str, Any]) -> Thing:
    if last := values.get("starting_after"):
        seen = [thing["id"] for thing in newest_first]
        newest_first = newest_first[seen.index(last) + 1 :] if last in seen else []
    limit = values.get("limit", PAGE)
    return {"object": "list", "url": url, "has_more": len(newest_first) > limit, "data": newest_first[:limit]}


def _expanded(shop: Shop, thing: Thing, paths: list[str]) -> Thing:
    """A copy with the ids at `paths` replaced by their objects."""
    copy: Thing = json.loads(json.dumps(thing))
    for path in paths:
        node = copy
        for step in path.split("."):
            if isinstance(node.get(step), str) and node[step] in shop.things:
                node[step] = json.loads(json.dumps(shop.things[node[step]]))
            if not isinstance(node.get(step), dict):
                break
            node = node[step]
    return copy


def _reply(status: int, body: Thing) -> Response:
    return JSONResponse(body, status, headers=LABEL)


def _lost() -> Response:
    """The connection breaks in the middle of the answer: it was carried out, and nobody heard."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"{"
        raise ConnectionAbortedError

    return StreamingResponse(broken(), headers={"content-length": "1000", **LABEL})


def sign(body: str, secret: str, at: datetime) -> str:
    """The `Stripe-Signature` header of a webhook."""
    stamp = int(at.timestamp())
    digest = hmac.new(secret.encode(), f"{stamp}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def _deliver(state: StandIn) -> None:
    """Hand fresh events to the sender, in order, doubled or turned round as the faults say."""
    events, state.shop.fresh = state.shop.fresh, []
    if not state.webhook_url or not events:
        return
    if state.take_fault(Fault.REORDER_EVENTS):
        events.reverse()
    if state.take_fault(Fault.DUPLICATE_EVENTS):
        events = [event for event in events for _ in range(2)]
    for event in events:
        state.sender.submit(_send, state.webhook_url, json.dumps(event), state.secret, state.shop.now)


def _send(url: str, body: str, secret: str, at: datetime) -> None:
    """Try a few times; what never arrives is found by the sweep of /v1/events."""
    headers = {"Stripe-Signature": sign(body, secret, at), "Content-Type": "application/json", **LABEL}
    for _ in range(DELIVERIES):
        try:
            if httpx2.post(url, content=body, headers=headers, timeout=DELIVERY_TIMEOUT_S).is_success:
                return
        except httpx2.HTTPError:
            continue
