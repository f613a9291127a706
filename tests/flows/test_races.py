"""64 clients want one slot at the same instant, and one client sends one request eight times: over HTTP, server processes."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.product import Product
from tests.web.api.world import World, a_world, refused, span, tomorrow

pytestmark = pytest.mark.servers
CLIENTS = 64
PATIENCE_S = 60


@pytest.fixture
def world(product: Product, database: str) -> Iterator[World]:
    """One server process on SQLite, three on PostgreSQL."""
    operator = product.operator_token()
    product.start(servers=3 if database == "postgresql" else 1, workers=0)
    with httpx2.Client(base_url=product.base_url, timeout=PATIENCE_S) as client:
        yield a_world(client, operator)


def at_once(world: World, base_url: str, bodies: list[dict[str, Any]], key: str | None) -> list[httpx2.Response]:
    """All bodies at the same instant, each over a connection of its own."""
    more = {"idempotency-key": key} if key else {}
    return sent(world, base_url, "POST", f"/resources/{world.resource}/bookings", bodies, more)


def sent(
    world: World, base_url: str, method: str, path: str, bodies: list[dict[str, Any]], more: dict[str, str]
) -> list[httpx2.Response]:
    start = threading.Barrier(len(bodies))

    def send(body: dict[str, Any]) -> httpx2.Response:
        headers = {"authorization": f"Bearer {world.member}", **more}
        start.wait(PATIENCE_S)
        return client.request(method, f"/api/v1{path}", json=body, headers=headers)

    many = httpx2.Limits(max_connections=len(bodies))
    with httpx2.Client(base_url=base_url, timeout=PATIENCE_S, limits=many) as client, ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(send, bodies))


def test_of_64_who_want_one_slot_one_gets_it_and_63_get_alternatives(world: World, product: Product) -> None:
    replies = at_once(world, product.base_url, [span(tomorrow())] * CLIENTS, None)
    codes = sorted(reply.status_code for reply in replies)
    assert codes == [201] + [409] * (CLIENTS - 1), product.log[-2000:]
    for reply in replies:
        if reply.status_code == 409:
            body = refused(reply, 409, "slot_taken")
            assert body["conflicts"]
            assert len(body["alternatives"]) == 3
    assert len(world.get("/bookings", world.member).json()["items"]) == 1
    assert "deadlock" not in product.log


def test_of_64_who_move_one_booking_one_does_and_63_are_told_that_it_changed(world: World, product: Product) -> None:
    """More than there are threads: none may wait for a thread while it holds what they all wait for."""
    path = f"/bookings/{world.a_booking(**span(tomorrow()))['id']}"
    replies = sent(world, product.base_url, "PATCH", path, [span(tomorrow(5))] * CLIENTS, {"if-match": '"1"'})
    codes = sorted(reply.status_code for reply in replies)
    assert codes == [200] + [412] * (CLIENTS - 1), product.log[-2000:]


def test_one_request_sent_eight_times_at_once_is_one_booking(world: World, product: Product) -> None:
    replies = at_once(world, product.base_url, [span(tomorrow())] * 8, "once")
    assert {reply.status_code for reply in replies} == {201}, [reply.text for reply in replies]
    assert len({reply.json()["id"] for reply in replies}) == 1
    assert sum("idempotency-replayed" in reply.headers for reply in replies) == 7
    assert len(world.get("/bookings", world.member).json()["items"]) == 1
