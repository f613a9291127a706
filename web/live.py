"""Live state as server-sent events. Any process can serve a stream: it looks into the database, nothing is pushed to it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from booking.timeline import queries as lying
from devices import queries as devices
from devices.live.queries import LiveState
from marketplace import clock
from web.present.meters import own_lives
from web.present.names import live_of
from web.views.frame import Live

LOOK_S = 2.0
"""How often a stream looks for changes."""

HEARTBEAT_S = 15.0
MOST_RESOURCES = 60
"""Ids one stream may watch, and as many meters; a page shows 20."""


def shape(state: LiveState) -> dict[str, Any]:
    body: dict[str, Any] = {"state": state.state.value, "since": state.since.isoformat() if state.since else None}
    return body if state.power_w is None else {**body, "power_w": state.power_w}


def response(events: AsyncIterator[bytes]) -> StreamingResponse:
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def events(request: Request, resource_ids: Sequence[str]) -> AsyncIterator[bytes]:
    """For programs: first the present state of each resource, then each change, as `state` events."""
    async for kind, body in _changes(request, resource_ids):
        named = {"resource_id": body.pop("id"), **body} if body else {}
        yield _frame("state", named) if kind == "status" else _frame(kind, named)


async def page_events(request: Request, resource_ids: Sequence[str], meter_ids: Sequence[str] = ()) -> AsyncIterator[bytes]:
    """For pages: `status` with what a dot shows, also of single meters, and `slots` when a calendar is out of date."""
    async for kind, body in _changes(request, resource_ids, meter_ids):
        yield b"event: still-here\ndata: {}\n\n" if kind == "quiet" else _frame(kind, body)


def _frame(kind: str, body: dict[str, Any]) -> bytes:
    if kind == "quiet":
        return b": still here\n\n"
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(body) + b"\n\n"


async def _changes(
    request: Request, resource_ids: Sequence[str], meter_ids: Sequence[str] = ()
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Looks every two seconds; yields what differs from the look before, and something now and then to keep the line open."""
    asked, meters = list(resource_ids)[:MOST_RESOURCES], list(meter_ids)[:MOST_RESOURCES]
    known: dict[str, Seen] = {}
    silent = 0.0
    while not await request.is_disconnected():
        present = await run_in_threadpool(_look, request, asked, meters)
        found = [("status", seen.shown) for key, seen in present.items() if key not in known or known[key].shown != seen.shown]
        found += [("slots", {"id": key}) for key, seen in present.items() if key in known and known[key].mark != seen.mark]
        for change in found:
            yield change
        known, silent = present, 0.0 if found else silent + LOOK_S
        if silent >= HEARTBEAT_S:
            yield "quiet", {}
            silent = 0.0
        await asyncio.sleep(LOOK_S)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found of a resource or a meter: its dot, and what changes with a resource's claims."""

    shown: dict[str, Any]
    mark: tuple[int, int, str] | None


def _look(request: Request, resource_ids: Sequence[str], meter_ids: Sequence[str]) -> dict[str, Seen]:
    now = clock.now()
    with request.app.state.readers() as session:
        live = live_of(session, resource_ids, now=now) if resource_ids else {}
        marks = lying.marks_of(session, resource_ids) if resource_ids else {}
        if meter_ids:
            live |= own_lives(session, list(devices.devices_by_id(session, meter_ids).values()), now=now)
    return {key: Seen(_dot(key, found), marks.get(key)) for key, found in live.items()}


def _dot(key: str, found: Live) -> dict[str, Any]:
    until, since = (at.isoformat() if at else None for at in (found.until, found.since))
    return {"id": key, "state": found.state, "until": until, "since": since, "power_w": found.power_w}
