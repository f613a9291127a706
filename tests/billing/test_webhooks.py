"""Signatures, clocks, sizes and secrets of webhooks; what the stand-in refuses."""

import json
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from billing import webhooks
from billing.providers.fake import sign
from billing.providers.requests import Description, Undescribed
from billing.webhooks import BadSignature, NoSecret
from tests.billing.conftest import Stripe
from tests.billing.listening import listening

SECRET = "whsec_stand_in"
NOW = datetime(2026, 3, 10, 4, tzinfo=UTC)
BODY = json.dumps(
    {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1", "object": "payment_intent"}}}
)


def test_any_of_several_secrets_will_do() -> None:
    notice = webhooks.verify(BODY.encode(), sign(BODY, "whsec_old", NOW), ("whsec_new", "whsec_old"), now=NOW)
    assert (notice.id, notice.object_id) == ("evt_1", "pi_1")


@pytest.mark.parametrize("off", [timedelta(seconds=301), timedelta(seconds=-301)])
def test_a_clock_off_by_more_than_five_minutes_is_refused_both_ways(off: timedelta) -> None:
    with pytest.raises(BadSignature, match="clock"):
        webhooks.verify(BODY.encode(), sign(BODY, "whsec", NOW + off), ("whsec",), now=NOW)


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (BODY + " ", sign(BODY, "whsec", NOW)),
        (BODY, sign(BODY, "other", NOW)),
        (BODY, ""),
        (BODY, f"t={int(NOW.timestamp())}"),
        (BODY, "t=soon,v1=00"),
        (BODY, "t=²,v1=00"),
        ("[]", sign("[]", "whsec", NOW)),
        ("{", sign("{", "whsec", NOW)),
        ("x" * (256 * 1024 + 1), "t=1,v1=0"),
    ],
)
def test_a_forged_or_broken_body_is_refused(body: str, header: str) -> None:
    with pytest.raises(BadSignature):
        webhooks.verify(body.encode(), header, ("whsec",), now=NOW)


@pytest.mark.parametrize("setting", ["", " , "])
def test_an_empty_secret_refuses_to_start(setting: str) -> None:
    with pytest.raises(NoSecret):
        webhooks.read_secrets(setting)


def test_the_field_that_stripe_gave_up_is_refused() -> None:
    with pytest.raises(Undescribed, match="payment_method_types"):
        Description().read("POST", "/v1/payment_intents", "", "amount=600&currency=cny&payment_method_types[0]=card")


def test_a_request_that_stripe_does_not_describe_is_refused(stripe: Stripe) -> None:
    answer = httpx2.post(f"{stripe.url}/v1/unknown", headers={"Authorization": "Bearer sk_test_x"})
    assert (answer.status_code, answer.headers["pilotbench-stand-in"]) == (400, "not-stripe")


def test_a_live_key_is_refused_by_the_stand_in(stripe: Stripe) -> None:
    assert httpx2.get(f"{stripe.url}/v1/events", headers={"Authorization": "Bearer sk_live_x"}).status_code == 401


def test_a_key_used_for_another_request_is_refused(stripe: Stripe) -> None:
    headers = {"Authorization": "Bearer sk_test_x", "Idempotency-Key": "k"}
    answers = [httpx2.post(f"{stripe.url}/v1/customers", headers=headers, data={"email": e}).status_code for e in "aab"]
    assert answers == [200, 200, 400]
    assert stripe.count("customer") == 1


def test_webhooks_are_delivered_signed_doubled_and_turned_round(stripe: Stripe) -> None:
    got: list[bytes] = []

    def keep(signature: str, body: bytes) -> None:
        webhooks.verify(body, signature, (SECRET,), now=NOW)
        got.append(body)

    with listening(keep) as url:
        stripe.order(webhook_url=url)
        stripe.order(fault="duplicate_events")
        stripe.order(fault="reorder_events")
        headers = {"Authorization": "Bearer sk_test_x"}
        data = {"amount": "600", "currency": "cny", "payment_method": "pm_card_visa", "confirm": "true"}
        assert httpx2.post(f"{stripe.url}/v1/payment_intents", headers=headers, data=data).status_code == 200
        stripe.state.sender.submit(int).result(10)  # the sender works in order: everything before has gone out
    kinds = [json.loads(body)["type"] for body in got]
    assert kinds == ["payment_intent.succeeded"] * 2 + ["charge.succeeded"] * 2
