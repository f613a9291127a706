"""A lock that is not had in time: asked for again before anybody hears of it, and told plainly when that is in vain."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text

from marketplace.db import LOCK_TIMEOUT_S, open_engine
from tests.web.api.world import World, refused, span, tomorrow
from web import patience


@pytest.fixture
def rival(database: str, api_url: str) -> Iterator[Engine]:
    """Another program on the same PostgreSQL; SQLite waits for its one writer without an error."""
    if database != "postgresql":
        pytest.skip("only PostgreSQL ends a wait for a row with an error")
    engine = open_engine(api_url)
    yield engine
    engine.dispose()


@contextmanager
def holds(rival: Engine, resource: str, seconds: float) -> Iterator[None]:
    """The resource's row, locked for so long from now."""
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with rival.begin() as connection:
            connection.execute(text("SELECT id FROM resources WHERE id = :id FOR UPDATE"), {"id": resource})
            held.set()
            over.wait(seconds)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    try:
        yield
    finally:
        over.set()
        holder.join()


def test_a_booking_outwaits_a_lock_that_is_held_longer_than_one_wait(rival: Engine, world: World) -> None:
    with holds(rival, world.resource, LOCK_TIMEOUT_S + 1):
        reply = world.post(f"/resources/{world.resource}/bookings", world.member, json=span(tomorrow()))
    assert reply.status_code == 201, reply.text
    assert len(world.get("/bookings", world.member).json()["items"]) == 1


def test_a_lock_held_too_long_is_told_and_nothing_is_kept(rival: Engine, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "TRIES", 1)
    with holds(rival, world.resource, LOCK_TIMEOUT_S * 3):
        reply = world.post(f"/resources/{world.resource}/bookings", world.member, json=span(tomorrow()))
    refused(reply, 503, "busy")
    assert reply.headers["retry-after"] == "1"
    assert world.get("/bookings", world.member).json()["items"] == []
