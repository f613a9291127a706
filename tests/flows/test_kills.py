"""kill -9 of the whole product in the middle of ingest and of booking: nothing acknowledged is lost, nothing doubled."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import httpx2
import orjson
import pytest
from sqlalchemy import select

from devices.tables import RawMessage
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from tests.devices.plugs import a_plug, eventually
from tests.product import Product
from tests.servers import Broker
from tests.web.api.world import World, a_world, span, tomorrow

pytestmark = pytest.mark.servers
MESSAGES = 1500
BOOKINGS = 80
KILLS = 2


@pytest.fixture
def world(product: Product) -> Iterator[World]:
    operator = product.operator_token()
    product.start()
    with httpx2.Client(base_url=product.base_url, timeout=30) as client:
        yield a_world(client, operator)


@pytest.fixture
def stored(empty_database_url: str) -> Iterator["Stored"]:
    found = Stored(empty_database_url)
    yield found
    found.engine.dispose()


class Stored:
    """What the database holds of the messages, by their number."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)

    def numbers(self) -> list[int]:
        with open_sessions(self.engine)() as session:
            return sorted(orjson.loads(payload)["seq"] for payload in session.scalars(select(RawMessage.payload)))


def test_every_message_the_broker_acknowledged_is_stored_once(
    world: World, product: Product, broker: Broker, stored: Stored
) -> None:
    made = world.made(f"/resources/{world.resource}/devices", world.manager, {"name": "表", "profile": "native"})
    time.sleep(1.5)  # the worker provisions the broker once a second
    begun = int((clock.now() - timedelta(seconds=60)).timestamp() * 1000)
    with a_plug(broker.port, made["key"], made["secret"]) as plug:
        sent = []
        for part in range(KILLS + 1):
            for number in range(part * 500, (part + 1) * 500):
                body = orjson.dumps({"ts": begun + number, "seq": number, "boot": "b", "p": 350.5, "e": number / 10})
                sent.append(plug.publish(f"d/{made['key']}/t", body, qos=1))
            eventually(lambda least=part * 500: len(stored.numbers()) > least)
            if part < KILLS:
                product.kill()
                product.start()
        for message in sent:
            message.wait_for_publish(30)
        eventually(lambda: len(stored.numbers()) >= MESSAGES)
    assert stored.numbers() == list(range(MESSAGES))
    assert product.run("audit") == "Every invariant holds."


def test_every_booking_that_was_answered_exists_once_and_a_repeated_request_gives_the_same(
    world: World, product: Product
) -> None:
    answered: dict[int, str] = {}
    over = threading.Event()

    def book(number: int) -> httpx2.Response:
        headers = {"authorization": f"Bearer {world.member}", "idempotency-key": f"n{number}"}
        body = span(tomorrow() + timedelta(hours=number), 1)
        path = f"/api/v1/resources/{world.resource}/bookings"
        reply: httpx2.Response = world.client.request("POST", path, json=body, headers=headers)
        return reply

    def client(first: int) -> None:
        for number in range(first, BOOKINGS, 4):
            while not over.is_set():
                try:
                    reply = book(number)
                except httpx2.TransportError:
                    time.sleep(0.05)
                    continue
                if reply.status_code == 201:
                    answered[number] = reply.json()["id"]
                    break
                assert reply.status_code == 503, reply.text

    threads = [threading.Thread(target=client, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for kill in range(KILLS):
        eventually(lambda least=(kill + 1) * 20: len(answered) >= least)
        product.kill()
        product.start(workers=0)
    for thread in threads:
        thread.join(40)
    over.set()
    assert len(answered) == BOOKINGS
    rows = world.get("/bookings", world.member, params={"limit": 200}).json()["items"]
    assert Counter(row["id"] for row in rows) == Counter(answered.values())
    assert len({row["start"] for row in rows}) == BOOKINGS
    repeated = range(0, BOOKINGS, 10)
    assert [(reply.status_code, reply.json().get("id")) for reply in map(book, repeated)] == [
        (201, answered[number]) for number in repeated
    ]
    assert product.run("audit") == "Every invariant holds."


def test_time_that_was_freed_is_offered_whatever_dies_in_between(world: World, product: Product) -> None:
    """No cancelled booking without an offer of its time, no offer without a cancelled booking."""
    waiting = world.a_person("member", organisation_id=world.organisation)
    world.resource = world.a_resource(rules={"offer_min": 600})
    slots = [span(tomorrow() + timedelta(hours=number), 1) for number in range(40)]
    booked = [world.a_booking(**slot)["id"] for slot in slots]
    path = f"/resources/{world.resource}/waiting"
    hoping = [waiting, *(world.a_person("member", organisation_id=world.organisation) for _ in range(7))]
    for number, slot in enumerate(slots):
        world.made(path, hoping[number // 5], slot)
    over = threading.Event()

    def cancel(first: int) -> None:
        for number in range(first, len(booked), 4):
            while not over.is_set():
                try:
                    if world.post(f"/bookings/{booked[number]}/cancel", world.member).status_code in {200, 409}:
                        break
                except httpx2.TransportError:
                    time.sleep(0.05)

    threads = [threading.Thread(target=cancel, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(KILLS):
        time.sleep(0.15)
        product.kill()
        product.start(workers=0)
    for thread in threads:
        thread.join(40)
    over.set()
    bookings = world.get("/bookings", world.member, params={"limit": 200}).json()["items"]
    cancelled = {row["start"] for row in bookings if row["state"] == "cancelled"}
    rows = world.get(path, world.manager).json()["items"]
    assert cancelled == {slot["start"] for slot in slots}
    assert [row["state"] for row in rows] == ["offered"] * len(slots)
    assert {row["offer"]["start"] for row in rows} == cancelled
    assert product.run("audit") == "Every invariant holds."
