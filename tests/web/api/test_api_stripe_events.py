"""contract.md: Stripe's webhooks, as forgers, clocks, repeats and kinds that nobody expected bring them."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from billing.providers.fake import sign
from billing.tables import ProviderEvent
from billing.webhooks import LARGEST, NoSecret
from marketplace import clock
from marketplace.ids import new_id
from marketplace.settings import Settings
from tests.web.api.conftest import WEBHOOK_SECRET
from tests.web.api.world import API, Reply, refused
from web.app import create_app


def an_event(**values: Any) -> dict[str, Any]:
    about = {"id": "pi_unknown", "object": "payment_intent"}
    return {"id": new_id("evt"), "object": "event", "type": "payment_intent.succeeded", "data": {"object": about}, **values}


def send(client: TestClient, body: str, *, header: str | None = None, at: datetime | None = None) -> Reply:
    signed = sign(body, WEBHOOK_SECRET, at or clock.now()) if header is None else header
    reply: Reply = client.post(f"{API}/stripe/events", content=body, headers={"stripe-signature": signed.encode("latin-1")})
    return reply


def kept(client: TestClient) -> int:
    with client.app.state.sessions() as session:  # type: ignore[attr-defined]
        return session.scalar(select(func.count()).select_from(ProviderEvent)) or 0


def test_an_event_is_kept_once_however_often_it_comes(client: TestClient) -> None:
    body, before = json.dumps(an_event()), kept(client)
    assert [send(client, body).status_code for _ in range(3)] == [200, 200, 200]
    assert kept(client) == before + 1


@pytest.mark.parametrize(
    "event",
    [
        an_event(type="nobody.knows_this"),
        an_event(type="balance.available", data={"object": {"object": "balance", "available": []}}),
        {
            "id": "evt_thin",
            "object": "v2.core.event",
            "type": "v2.core.account[identity].updated",
            "related_object": {"id": "acct_1", "type": "v2.core.account"},
        },
    ],
)
def test_an_event_of_any_kind_is_taken(client: TestClient, event: dict[str, Any]) -> None:
    reply = send(client, json.dumps({**event, "id": new_id("evt")}))
    assert (reply.status_code, reply.json()) == (200, {"received": True})


@pytest.mark.parametrize(
    "header",
    ["", "t=,v1=00", "t=-1,v1=00", "t=NOW", "t=NOW,v1=\xe9", "t=NOW,v1=00", "t=NOW,t=NOW,v1=00"],
)
def test_a_header_that_nobody_signed_is_refused(client: TestClient, header: str) -> None:
    before = kept(client)
    header = header.replace("NOW", str(int(clock.now().timestamp())))
    refused(send(client, json.dumps(an_event()), header=header), 400, "bad_signature")
    assert kept(client) == before


@pytest.mark.parametrize("off", [timedelta(seconds=-302), timedelta(seconds=302), timedelta(days=-400)])
def test_an_old_or_a_future_event_is_refused(client: TestClient, off: timedelta) -> None:
    refused(send(client, json.dumps(an_event()), at=clock.now() + off), 400, "bad_signature")


def test_256_kib_are_taken_and_one_byte_more_is_not(client: TestClient) -> None:
    body = json.dumps(an_event())
    assert send(client, body + " " * (LARGEST - len(body))).status_code == 200
    refused(send(client, body + " " * (LARGEST - len(body) + 1)), 400, "bad_signature")


@pytest.mark.parametrize(
    "body", ["[]", "1", "{}", '{"id": 1, "type": "x"}', '{"id": "", "type": "x"}', '{"id": "evt", "data": []}']
)
def test_what_is_no_event_is_refused_although_it_is_signed(client: TestClient, body: str) -> None:
    refused(send(client, body), 400, "bad_signature")


def test_a_setting_without_a_secret_in_it_refuses_to_start(api_url: str) -> None:
    with pytest.raises(NoSecret):
        create_app(Settings(database_url=api_url, stripe_webhook_secrets=" , "))
