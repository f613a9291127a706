"""contract.md: /live streams changes of the state over a real connection."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2
import orjson
import pytest
import uvicorn
from fastapi.testclient import TestClient
from starlette.types import ASGIApp

from marketplace.db import POOL_SIZE
from tests.servers import free_port
from tests.web.api.world import API, World, refused, span, tomorrow
from web import live

WAIT_S = 20.0
OVERFLOW = 10
"""Connections that the pool opens beyond its size."""


@pytest.fixture
def served(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The application behind a real server that looks for changes twenty times a second."""
    monkeypatch.setattr(live, "LOOK_S", 0.05)
    with serving(client.app) as address:
        yield address


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Where the application answers meanwhile."""
    port = free_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(WAIT_S)
    assert not thread.is_alive()


@contextmanager
def listening(served: str, resource: str) -> Iterator[tuple[httpx2.Response, Iterator[str]]]:
    """The open answer and its lines."""
    with (
        httpx2.Client(timeout=WAIT_S) as browser,
        browser.stream("GET", f"{served}{API}/resources/{resource}/live") as answer,
    ):
        yield answer, answer.iter_lines()


def events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each event's name and data."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        if line.startswith("data: "):
            yield name, orjson.loads(line.removeprefix("data: "))


def test_a_stream_begins_with_the_present_state_and_tells_a_change(world: World, served: str) -> None:
    with listening(served, world.resource) as (answer, lines):
        assert answer.headers["content-type"].split(";")[0] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store"
        told = events(lines)
        name, first = next(told)
        assert (name, first["resource_id"], first["state"]) == ("state", world.resource, "no_sensor")
        world.made(f"/resources/{world.resource}/devices", world.manager, {"name": "表", "profile": "native"})
        changed = next(state for _, state in told if state["state"] != "no_sensor")
        assert (changed["resource_id"], changed["state"]) == (world.resource, "unknown")


def test_a_stream_says_when_a_calendar_is_out_of_date(world: World, served: str) -> None:
    with listening(served, world.resource) as (_, lines):
        told = events(lines)
        next(told)
        world.made(f"/resources/{world.resource}/bookings", world.member, span(tomorrow()))
        assert next(data for name, data in told if name == "slots") == {"resource_id": world.resource}


def test_nobody_listens_to_what_is_hidden(world: World, served: str) -> None:
    world.post(f"/resources/{world.resource}/retire", world.manager)
    for resource in (world.resource, "res_none"):
        refused(httpx2.get(f"{served}{API}/resources/{resource}/live", timeout=WAIT_S), 404, "not_found")


def test_more_listeners_than_connections_leave_the_database_free(world: World, served: str) -> None:
    with ExitStack() as stack:
        for _ in range(POOL_SIZE + OVERFLOW + 2):
            _, lines = stack.enter_context(listening(served, world.resource))
            next(events(lines))
        assert world.get(f"/resources/{world.resource}/status").status_code == 200
