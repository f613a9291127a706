"""Every request that the adapter can make fits Stripe's own description; what that does not describe is listed by name."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from billing.providers.base import Call, Confirmation, PaymentFact, Provider, Purpose, Way
from billing.providers.requests import NOT_DESCRIBED, Description
from billing.providers.stripe_connect import StripeConnect
from billing.tables import Operation
from marketplace.ids import new_id
from tests.billing.conftest import Stripe
from tests.billing.providers.conftest import (
    BACK,
    a_call,
    a_checkout,
    a_mark,
    a_set_up,
    captured,
    declined,
    held,
    perform,
)

REQUESTS = {
    "GET /v1/balance",
    "GET /v1/balance_transactions",
    "GET /v1/checkout/sessions",
    "GET /v1/checkout/sessions/{session}",
    "GET /v1/customers/search",
    "GET /v1/events",
    "GET /v1/payment_intents",
    "GET /v1/payment_intents/{intent}",
    "GET /v1/refunds",
    "GET /v1/refunds/{refund}",
    "GET /v1/setup_intents",
    "GET /v1/setup_intents/{intent}",
    "GET /v1/transfers",
    "POST /v1/checkout/sessions",
    "POST /v1/checkout/sessions/{session}/expire",
    "POST /v1/customers",
    "POST /v1/payment_intents",
    "POST /v1/payment_intents/{intent}/cancel",
    "POST /v1/payment_intents/{intent}/capture",
    "POST /v1/payment_intents/{intent}/confirm",
    "POST /v1/refunds",
    "POST /v1/setup_intents",
    "POST /v1/transfers",
}


@dataclass
class World:
    """What the shapes start from."""

    provider: StripeConnect
    now: datetime
    customer: str
    card: str

    def call(self, operation: Operation, payment: PaymentFact | None = None, **values: object) -> Call:
        return a_call(operation, now=self.now, payment=payment, **values)


def calls(world: World) -> list[Call]:
    """A call of every operation, in every shape."""
    taken = captured(world.provider, world.now)
    transfer = world.call(Operation.TRANSFER, taken, amount=48300, destination="acct_1", currency="USD")
    payer, ends_at = {"payer": new_id("org"), "language": "en"}, (world.now + timedelta(hours=1)).isoformat()
    page = {**payer, "purpose": "prepay", "ways": ["card", "alipay"], "ends_at": ends_at, "name": "MBE"}
    opened = world.provider.open_checkout(a_checkout(world.customer, world.now), a_mark()).object_id
    return [
        world.call(Operation.KEEP, **payer),
        world.call(Operation.PAGE, **page),
        world.call(Operation.READ, page_id=opened),
        world.call(Operation.CLOSE, page_id=opened),
        world.call(Operation.HOLD),
        world.call(Operation.HOLD, payer=new_id("org")),
        world.call(Operation.HOLD, customer_id=world.customer, method_id=world.card),
        world.call(Operation.HOLD, customer_id=world.customer, method_id=world.card, off_session=True),
        world.call(Operation.CHARGE, customer_id=world.customer, method_id=world.card),
        world.call(Operation.CAPTURE, held(world.provider, world.now), amount=52500),
        world.call(Operation.RELEASE, held(world.provider, world.now)),
        world.call(Operation.REFUND, taken, amount=100),
        transfer,
    ]


def every_call(world: World) -> None:
    made = calls(world)
    assert {call.operation for call in made} == set(Operation)
    for call in made:
        world.provider.look(call)
        world.provider.perform(call)
        assert world.provider.look(call) is not None


def every_refund(world: World) -> None:
    """More than a charge brings along."""
    taken = captured(world.provider, world.now)
    for number in range(12):
        given = perform(world.provider, world.call(Operation.REFUND, taken, amount=100 + number))
    assert len(given.refunds) == 12
    world.provider.read_refund(given.refunds[0].object_id)


def every_page(world: World) -> None:
    wallets = a_checkout(world.customer, world.now)
    english = a_checkout(world.customer, world.now, language="en", ways=(Way.CARD,))
    for order in (wallets, english, *(replace(english, purpose=purpose) for purpose in Purpose)):
        mark = a_mark()
        opened = world.provider.open_checkout(order, mark)
        assert world.provider.find_checkout(world.customer, mark) == world.provider.read_checkout(opened.object_id)
        assert world.provider.read_page(opened.object_id) == opened
        world.provider.expire_checkout(opened.object_id, a_mark())
        world.provider.expire_checkout(opened.object_id, a_mark())


def every_set_up(world: World) -> None:
    mark = a_mark()
    made = world.provider.set_up(a_set_up(world.customer), mark)
    assert world.provider.find_setup(world.customer, mark) == world.provider.read_setup(made.object_id)


def every_confirmation(world: World) -> None:
    call = world.call(Operation.CHARGE, customer_id=world.customer, method_id="pm_card_authenticationRequired")
    left = declined(world.provider, call).object_id or ""
    world.provider.confirm(Confirmation(left, world.card, BACK), a_mark())


def every_customer(world: World) -> None:
    made = world.provider.customer_for(new_id("per"))
    assert world.provider.find_customer(made.payer) == made


SHAPES: dict[Callable[[World], object], set[str]] = {
    every_call: {"perform", "look"},
    every_refund: {"read_refund"},
    every_page: {"open_checkout", "read_checkout", "read_page", "find_checkout", "expire_checkout"},
    every_set_up: {"set_up", "read_setup", "find_setup"},
    every_confirmation: {"confirm"},
    every_customer: {"find_customer", "customer_for"},
    lambda world: world.provider.read_payment(held(world.provider, world.now).object_id): {"read_payment"},
    lambda world: world.provider.events_since(world.now - timedelta(days=1)): {"events_since"},
    lambda world: world.provider.movements_since(world.now - timedelta(days=1)): {"movements_since"},
    lambda world: world.provider.made_since(world.now - timedelta(days=1)): {"made_since"},
    lambda world: (world.provider.balance(), world.provider.available()): {"balance", "available"},
}
"""What makes requests, and of which methods."""


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_every_method_of_the_adapter_has_its_shapes() -> None:
    assert set().union(*SHAPES.values()) == public(StripeConnect)
    assert public(Provider) <= public(StripeConnect)


def test_every_request_is_one_that_stripe_describes_or_is_listed(stripe: Stripe) -> None:
    customer = stripe.provider.customer_for(new_id("org")).object_id
    kept = stripe.provider.set_up(a_set_up(customer), a_mark()).method
    assert kept is not None
    world = World(stripe.provider, stripe.state.shop.now, customer, kept.object_id)
    for shape in SHAPES:
        shape(world)
    assert list(stripe.state.violations) == []
    assert set(stripe.state.asked) == REQUESTS
    described = {f"{method.upper()} {path}" for path, methods in Description().paths.items() for method in methods}
    assert set(stripe.state.asked) - described == {f"GET {path}" for path in NOT_DESCRIBED}


def test_every_request_that_changes_something_has_a_key_of_its_call(stripe: Stripe) -> None:
    customer = stripe.provider.customer_for(new_id("org")).object_id
    world = World(stripe.provider, stripe.state.shop.now, customer, "pm_card_visa")
    for shape in SHAPES:
        shape(world)
    changed = sum(count for name, count in stripe.state.asked.items() if name.startswith("POST"))
    assert len(stripe.state.answers) == changed
    assert all(re.search(r":g\d+$", key) for key in stripe.state.answers)
