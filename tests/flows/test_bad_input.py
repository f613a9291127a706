"""What does not belong comes in by the broker and by HTTP: refused, counted, visible; clear answers, never a 500."""

import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Iterator

import httpx2
import orjson
import pytest

from marketplace import clock
from tests.devices.plugs import a_plug, eventually, published, turned_away
from tests.product import Product
from tests.servers import Broker
from tests.web.api.world import API, World, a_world, refused, span, tomorrow

pytestmark = pytest.mark.servers
SECRET = "whsec_of_the_flow"


@pytest.fixture(scope="module")
def product(shared_product: tuple[Product, Broker]) -> Product:
    return shared_product[0]


@pytest.fixture(scope="module")
def broker(shared_product: tuple[Product, Broker]) -> Broker:
    return shared_product[1]


@pytest.fixture(scope="module")
def world(product: Product) -> Iterator[World]:
    product.environment["PILOTBENCH_STRIPE_WEBHOOK_SECRETS"] = SECRET
    operator = product.operator_token()
    product.start()
    with httpx2.Client(base_url=product.base_url, timeout=30) as client:
        yield a_world(client, operator)


def test_bad_messages_are_refused_counted_and_shown_to_the_publisher_only(world: World, broker: Broker) -> None:
    path = f"/resources/{world.resource}/devices"
    one, two = (world.made(path, world.manager, {"name": name, "profile": "native"}) for name in ("表一", "表二"))
    time.sleep(1.5)  # the worker provisions the broker once a second
    now = int(clock.now().timestamp() * 1000)
    late = {"ts": now + 86_400_000, "seq": 8, "boot": "b", "p": 1}
    bad = [b"{", b"\xff\xfe", b'{"p":NaN}', b'{"p":"12"}', b"[" * 60 + b"]" * 60, b" " * 20_000, orjson.dumps(late)]
    with a_plug(broker.port, one["key"], one["secret"]) as plug:
        for body in bad:
            published(plug, f"d/{one['key']}/t", body)
        published(plug, f"d/{two['key']}/t", orjson.dumps({"ts": now, "seq": 1, "boot": "b", "p": 1}))
        published(plug, f"d/{one['key']}/t", orjson.dumps({"ts": now, "seq": 1, "boot": "b", "p": 1}))
    assert turned_away(broker.port, one["key"], "guessed")
    seen = f"/devices/{one['id']}/rejected"
    eventually(lambda: len(world.get(seen, world.manager).json()["items"]) >= 7)
    reasons = Counter(row["reason"] for row in world.get(seen, world.manager).json()["items"])
    assert set(reasons) == {"not_json", "bad_number", "too_deep", "too_large", "foreign_topic"}
    assert reasons["foreign_topic"] == 1
    counted = {row["id"]: row["rejected"] for row in world.get(path, world.manager).json()["items"]}
    assert counted == {one["id"]: 7, two["id"]: 0}
    refused(world.get(seen, world.member), 404, "not_found")


def signed(body: bytes, secret: str) -> dict[str, str]:
    stamp = str(int(clock.now().timestamp()))
    found = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={stamp},v1={found}"}


def test_bad_requests_get_clear_answers(world: World, product: Product) -> None:
    path = f"/resources/{world.resource}/bookings"
    as_json = {"content-type": "application/json"}
    for body in (b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"start":NaN}', b"[]", b"", b'{"start":"\\ud800"}'):
        refused(world.post(path, world.member, content=body, headers=as_json), 422, "malformed")
    text = {"content-type": "text/plain"}
    refused(world.post(path, world.member, content=orjson.dumps(span(tomorrow())), headers=text), 422, "malformed")
    refused(world.post(path, world.member, content=b" " * (1 << 20) + b"{}", headers=as_json), 413, "too_large")
    refused(world.post(path, "pb_forged", json=span(tomorrow())), 401, "not_signed_in")
    for unknown in ("res_none", "%00", "a" * 300, "%F0%9F%99%82"):
        reply = world.get(f"/resources/{unknown}")
        refused(reply, 422 if reply.status_code == 422 else 404)
    refused(world.ask("DELETE", path, token=world.member), 405, "method_not_allowed")
    refused(world.get("/nowhere"), 404, "not_found")
    assert " 500 " not in product.log


def test_a_forged_webhook_is_refused_and_a_replayed_one_changes_nothing(world: World) -> None:
    event = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_none"}}}
    body = orjson.dumps(event)
    for headers in ({}, signed(body, "whsec_other"), signed(body + b" ", SECRET)):
        refused(world.ask("POST", "/stripe/events", content=body, headers=headers), 400, "bad_signature")
    for _ in range(2):
        assert world.client.request("POST", f"{API}/stripe/events", content=body, headers=signed(body, SECRET)).json() == {
            "received": True
        }
