"""The stand-in for Stripe over real HTTP, and what a worker would do in one tick."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2
import pytest
import uvicorn
from sqlalchemy.orm import Session, sessionmaker

from billing import outbox
from billing.providers.fake import StandIn, create_app
from billing.providers.stripe_connect import StripeConnect
from tests.servers import free_port


@dataclass
class Stripe:
    """The running stand-in: its address, its state, and the real client that speaks to it."""

    url: str
    state: StandIn
    provider: StripeConnect

    def order(self, **order: Any) -> dict[str, Any]:
        answer: dict[str, Any] = httpx2.post(f"{self.url}/_stand_in", json=order).json()
        return answer

    def count(self, kind: str) -> int:
        return len(self.state.shop.all(kind))


@pytest.fixture
def stripe_now() -> Callable[[], datetime]:
    return lambda: datetime.fromisoformat("2026-03-10T04:00:00+00:00")


@contextmanager
def serving(read_clock: Callable[[], datetime]) -> Iterator[Stripe]:
    """The stand-in on loopback."""
    port = free_port()
    app = create_app(read_clock=read_clock)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield Stripe(f"http://127.0.0.1:{port}", app.state.stand_in, StripeConnect("sk_test_x", f"http://127.0.0.1:{port}"))
    app.state.stand_in.sender.shutdown()
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def stripe(stripe_now: Callable[[], datetime]) -> Iterator[Stripe]:
    with serving(stripe_now) as running:
        yield running


def work(sessions: sessionmaker[Session], stripe: Stripe, now: datetime, most: int = 30) -> int:
    """claim | commit | call | record | commit, until nothing is due; how many calls went out."""
    for done in range(most):
        with sessions.begin() as session:
            call = outbox.claim(session, now=now)
        if call is None:
            return done
        outcome = outbox.call(call, stripe.provider)
        with sessions.begin() as session:
            outbox.record(session, outcome, now=now)
    return most
