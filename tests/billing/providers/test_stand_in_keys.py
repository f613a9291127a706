"""Idempotency keys in the stand-in: remembered over a stop, in use while an answer is under way, forgotten after a day."""

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from billing.providers.fake import create_app
from billing.providers.stand_in.answering import Answer, Asked, Fault, StandIn, answer
from tests.billing.conftest import Stripe
from tests.billing.providers.conftest import Asking

PATH = "/v1/customers"


def asked(key: str, body: str = "email=a") -> Asked:
    return Asked("POST", PATH, "", body, "Bearer sk_test_x", key)


def alive(kept: Path, stripe_now: Callable[[], datetime]) -> StandIn:
    state: StandIn = create_app(read_clock=stripe_now, kept=kept).state.stand_in
    return state


def test_a_key_outlives_a_stop(tmp_path: Path, stripe_now: Callable[[], datetime]) -> None:
    first = answer(alive(tmp_path / "kept.json", stripe_now), asked("k"))
    again = alive(tmp_path / "kept.json", stripe_now)
    assert answer(again, asked("k")) == first
    assert answer(again, asked("k", "email=b")).status == 400
    assert len(again.shop.all("customer")) == 1


def test_a_saved_fault_outlives_a_stop(tmp_path: Path, stripe_now: Callable[[], datetime]) -> None:
    state = alive(tmp_path / "kept.json", stripe_now)
    state.faults.append(Fault.SAVED_500)
    assert answer(state, asked("k")).status == 500
    assert answer(alive(tmp_path / "kept.json", stripe_now), asked("k")).status == 500
    assert answer(alive(tmp_path / "kept.json", stripe_now), asked("k2")).status == 200


def test_what_is_due_outlives_a_stop(tmp_path: Path, stripe_now: Callable[[], datetime]) -> None:
    state = alive(tmp_path / "kept.json", stripe_now)
    body = "amount=600&currency=cny&payment_method=pm_card_visa&confirm=true&capture_method=manual"
    answer(state, Asked("POST", "/v1/payment_intents", "", body, "Bearer sk_test_x", None))
    again = alive(tmp_path / "kept.json", stripe_now)
    assert (again.shop.due, again.shop.things) == (state.shop.due, state.shop.things)
    assert [due[2] for due in again.shop.due] == ["hold_ends"]


def test_what_an_earlier_version_kept_can_be_refunded_and_paid_out(tmp_path: Path, stripe_now: Callable[[], datetime]) -> None:
    state = alive(tmp_path / "kept.json", stripe_now)
    body = "amount=600&currency=cny&payment_method=pm_card_visa&confirm=true"
    answer(state, Asked("POST", "/v1/payment_intents", "", body, "Bearer sk_test_x", None))
    [charge] = state.shop.all("charge")
    paid = f"amount=100&currency=cny&destination=acct_1&source_transaction={charge['id']}"
    answer(state, Asked("POST", "/v1/transfers", "", paid, "Bearer sk_test_x", None))
    del charge["stand_in"], charge["payment_method"]
    old = {name: value for name, value in state.shop.dump().items() if name not in {"due", "fee_delay_s"}}
    (tmp_path / "old.json").write_bytes(orjson.dumps(old))
    again = alive(tmp_path / "old.json", stripe_now)
    back = f"payment_intent={charge['payment_intent']}&amount=100"
    too_much = paid.replace("amount=100", "amount=401")
    assert answer(again, Asked("POST", "/v1/refunds", "", back, "Bearer sk_test_x", None)).status == 200
    assert answer(again, Asked("POST", "/v1/transfers", "", too_much, "Bearer sk_test_x", None)).status == 400
    assert answer(again, Asked("POST", "/v1/transfers", "", paid, "Bearer sk_test_x", None)).status == 200


def test_a_request_that_was_never_understood_is_not_remembered(stripe: Stripe) -> None:
    asking = Asking(stripe.url)
    assert asking.post(PATH, "k", nobody="knows").status_code == 400
    assert asking.post(PATH, "k", email="a").status_code == 200
    assert len(stripe.state.violations) == 1


@pytest.mark.parametrize(("after_s", "customers"), [(24 * 3600 - 1, 1), (24 * 3600, 2)])
def test_a_key_lives_a_day(stripe: Stripe, after_s: int, customers: int) -> None:
    asking = Asking(stripe.url)
    asking.post(PATH, "k", email="a")
    stripe.order(advance_s=after_s)
    asking.post(PATH, "k", email="a")
    assert stripe.count("customer") == customers
    assert len(stripe.state.answers) == 1


def test_a_key_may_be_forgotten_early(stripe: Stripe) -> None:
    asking = Asking(stripe.url)
    asking.post(PATH, "k", email="a")
    stripe.order(fault="expired_key")
    asking.post(PATH, "k", email="a")
    assert stripe.count("customer") == 2


def test_a_twin_of_a_request_in_flight_finds_its_key_in_use(stripe: Stripe) -> None:
    asking = Asking(stripe.url)
    stripe.order(fault="late_answer")
    first = threading.Thread(target=asking.post, args=(PATH, "k"), kwargs={"email": "a"})
    first.start()
    while not stripe.state.in_flight:
        first.join(0.01)
    twin = Asking(stripe.url).post(PATH, "k", email="a")
    assert (twin.status_code, twin.json()["error"]["code"]) == (409, "idempotency_key_in_use")
    assert Asking(stripe.url).post(PATH, "another", email="b").status_code == 200
    stripe.order(release=True)
    first.join(10)
    [late] = asking.answers
    assert Asking(stripe.url).post(PATH, "k", email="a").json() == late.json()
    assert stripe.count("customer") == 2


def test_a_lost_answer_is_given_again_under_its_key(stripe: Stripe) -> None:
    stripe.state.faults.append(Fault.ANSWER_LOST)
    lost: Answer = answer(stripe.state, asked("k"))
    assert lost.fault is Fault.ANSWER_LOST
    assert answer(stripe.state, asked("k")) == Answer(lost.status, lost.body)


def test_an_order_tells_what_was_asked(stripe: Stripe) -> None:
    Asking(stripe.url).post(PATH, email="a")
    Asking(stripe.url).get("/v1/events")
    told: dict[str, Any] = stripe.order()
    assert told["objects"] == {"customer": 1}
    assert told["asked"] == {"POST /v1/customers": 1, "GET /v1/events": 1}
    assert told["violations"] == []
