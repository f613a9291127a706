"""Calls and orders as the product makes them, plain requests to the stand-in, and a payer at its pages."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import httpx2

from billing.providers.base import Call, CheckoutOrder, Declined, Mark, PaymentFact, Provider, Purpose, SetUpOrder, Way
from billing.tables import Operation
from marketplace.ids import new_id

HEADERS = {"Authorization": "Bearer sk_test_x"}
BACK = "http://127.0.0.1:9/back"


@dataclass
class Asking:
    """Plain requests to the stand-in's API."""

    url: str
    answers: list[httpx2.Response] = field(default_factory=list)

    def post(self, path: str, key: str | None = None, **data: Any) -> httpx2.Response:
        headers = {**HEADERS, "Idempotency-Key": key} if key else HEADERS
        made = httpx2.post(f"{self.url}{path}", headers=headers, data=data, timeout=20)
        self.answers.append(made)
        return made

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> httpx2.Response:
        return httpx2.get(f"{self.url}{path}", headers=HEADERS, params=params)


def press(page: str, choice: str) -> httpx2.Response:
    """A payer presses a button on a page."""
    return httpx2.post(page, data={"choice": choice}, follow_redirects=False)


def a_call(operation: Operation, *, now: datetime, payment: PaymentFact | None = None, **values: Any) -> Call:
    """A call as the outbox makes it; what is no field of a call is a parameter."""
    booking = values.pop("booking", None) or new_id("bkg")
    call = Call(
        id=new_id("call"),
        key=f"{booking}:{operation.value}:1",
        operation=operation,
        parameters={},
        object_id=payment.object_id if payment else None,
        customer_id=payment.customer_id if payment else None,
        method_id=payment.method_id if payment else "pm_card_visa",
        attempts=1,
        generation=1,
        first_called_at=now,
        called_at=now,
    )
    own = {name: values.pop(name) for name in Call.__slots__ if name in values}
    charge = payment.charge_id if payment else None
    asked = {"booking": booking, "charge": charge, "amount": 72000, "currency": "USD", **values}
    return replace(call, parameters=asked, **own)


def perform(provider: Provider, call: Call) -> PaymentFact:
    fact = provider.perform(call)
    assert isinstance(fact, PaymentFact)
    return fact


def held(provider: Provider, now: datetime, **values: Any) -> PaymentFact:
    return perform(provider, a_call(Operation.HOLD, now=now, **values))


def captured(provider: Provider, now: datetime, *, amount: int = 52500, **values: Any) -> PaymentFact:
    hold = held(provider, now, **values)
    return perform(provider, a_call(Operation.CAPTURE, now=now, payment=hold, amount=amount))


def declined(provider: Provider, call: Call) -> Declined:
    """The refusal that a call ends with."""
    try:
        provider.perform(call)
    except Declined as trouble:
        return trouble
    raise AssertionError("it was not declined")


def a_mark() -> Mark:
    return Mark(f"{new_id('bkg')}:order:1")


def a_checkout(customer_id: str, now: datetime, **values: Any) -> CheckoutOrder:
    order = CheckoutOrder(
        subject=new_id("bkg"),
        name="ICP-MS, 2 h",
        customer_id=customer_id,
        purpose=Purpose.PREPAY,
        ways=(Way.CARD, Way.ALIPAY, Way.WECHAT_PAY),
        amount_minor=60000,
        currency="CNY",
        return_url=f"{BACK}?page={{CHECKOUT_SESSION_ID}}",
        cancel_url=f"{BACK}?left",
        expires_at=now + timedelta(hours=1),
        language="zh",
    )
    return replace(order, **values)


def a_set_up(customer_id: str, method_id: str = "pm_card_visa") -> SetUpOrder:
    return SetUpOrder(new_id("org"), customer_id, method_id, BACK)
