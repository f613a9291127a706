"""What the product relies on, asked of the stand-in and, when PILOTBENCH_TEST_STRIPE_KEY holds a test key, of Stripe itself."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from billing.providers.base import (
    CheckoutState,
    Confirmation,
    CustomerFact,
    Declined,
    Provider,
    Purpose,
    RefundState,
    Rejected,
    SetupState,
    Way,
)
from billing.providers.stripe_connect import StripeConnect
from billing.tables import Operation, PaymentState
from marketplace import clock
from marketplace.ids import new_id
from tests.billing.conftest import Stripe
from tests.billing.providers.conftest import BACK, a_call, a_checkout, a_mark, a_set_up, captured, declined, held, perform

KEY = os.environ.get("PILOTBENCH_TEST_STRIPE_KEY", "")
SEARCH_LAG_S = 90


@dataclass
class There:
    """A provider, and the time there."""

    provider: Provider
    now: datetime
    lag_s: int
    """So long a new customer may not be found."""

    def search(self, payer: str) -> CustomerFact | None:
        waiting, waited = threading.Event(), 0
        while (found := self.provider.find_customer(payer)) is None and waited < self.lag_s:
            waiting.wait(3)
            waited += 3
        return found


@pytest.fixture(params=["stand-in", "stripe"])
def there(request: pytest.FixtureRequest) -> Iterator[There]:
    if request.param == "stand-in":
        running: Stripe = request.getfixturevalue("stripe")
        yield There(running.provider, running.state.shop.now, lag_s=0)
    elif KEY.startswith(("sk_test_", "rk_test_")):
        yield There(StripeConnect(KEY), clock.now(), lag_s=SEARCH_LAG_S)
    else:
        pytest.skip("not asked of Stripe itself: PILOTBENCH_TEST_STRIPE_KEY holds no test key")


def test_of_a_hold_a_part_is_captured_and_the_rest_let_go(there: There) -> None:
    hold = held(there.provider, there.now)
    assert (hold.state, hold.authorised_minor, hold.captured_minor) == (PaymentState.AUTHORISED, 72000, 0)
    assert hold.capture_before is not None
    assert timedelta(days=4) < hold.capture_before - there.now <= timedelta(days=7, minutes=1)
    taken = perform(there.provider, a_call(Operation.CAPTURE, now=there.now, payment=hold, amount=52500))
    assert (taken.state, taken.captured_minor, taken.refunded_minor) == (PaymentState.CAPTURED, 52500, 0)
    assert (taken.object_id, taken.charge_id, taken.refunds) == (hold.object_id, hold.charge_id, ())
    assert there.provider.read_payment(hold.object_id) == taken


def test_a_hold_that_is_let_go_has_taken_and_refunded_nothing(there: There) -> None:
    hold = held(there.provider, there.now)
    free = perform(there.provider, a_call(Operation.RELEASE, now=there.now, payment=hold))
    assert (free.state, free.captured_minor, free.refunded_minor) == (PaymentState.RELEASED, 0, 0)
    with pytest.raises(Rejected):
        perform(there.provider, a_call(Operation.CAPTURE, now=there.now, payment=hold, amount=100))


def test_a_repeated_call_makes_nothing_new_and_a_new_generation_does(there: There) -> None:
    call = a_call(Operation.HOLD, now=there.now)
    first = perform(there.provider, call)
    assert perform(there.provider, call) == first
    assert perform(there.provider, replace(call, generation=2)).object_id != first.object_id


def test_a_key_with_other_parameters_is_rejected(there: There) -> None:
    call = a_call(Operation.HOLD, now=there.now)
    perform(there.provider, call)
    with pytest.raises(Rejected):
        perform(there.provider, replace(call, parameters={**call.parameters, "amount": 80000}))


def test_what_a_call_did_is_found_without_its_answer(there: There) -> None:
    call = a_call(Operation.HOLD, now=there.now)
    assert there.provider.look(call) is None
    hold = perform(there.provider, call)
    assert there.provider.look(call) == hold
    capture = a_call(Operation.CAPTURE, now=there.now, payment=hold, amount=52500)
    assert there.provider.look(capture) is None
    taken = perform(there.provider, capture)
    assert there.provider.look(capture) == taken
    refund = a_call(Operation.REFUND, now=there.now, payment=taken, amount=7500)
    assert there.provider.look(refund) is None
    given = perform(there.provider, refund)
    assert there.provider.look(refund) == given


def test_a_declined_card_says_so_and_needs_nobody(there: There) -> None:
    refusal = declined(there.provider, a_call(Operation.HOLD, now=there.now, method_id="pm_card_visa_chargeDeclined"))
    assert (refusal.code, refusal.needs_payer, refusal.page) == ("card_declined", False, None)
    assert refusal.object_id is not None
    with pytest.raises(Declined, match="card_declined"):
        there.provider.read_payment(refusal.object_id)


def test_a_bank_that_asks_gives_a_page_to_answer_on(there: There) -> None:
    call = a_call(Operation.HOLD, now=there.now, method_id="pm_card_authenticationRequired")
    refusal = declined(there.provider, call)
    assert (refusal.code, refusal.needs_payer) == ("requires_action", True)
    assert refusal.page is not None
    assert refusal.page.startswith("http")


def test_the_card_of_a_hold_is_charged_later_without_its_payer(there: There) -> None:
    hold = held(there.provider, there.now)
    call = a_call(Operation.CHARGE, now=there.now, payment=hold, amount=21750)
    assert hold.method_id != "pm_card_visa"
    charge = perform(there.provider, call)
    assert (charge.state, charge.captured_minor) == (PaymentState.CAPTURED, 21750)
    assert charge.object_id != hold.object_id
    assert perform(there.provider, call).object_id == charge.object_id


def test_a_charge_that_needs_its_payer_can_be_confirmed_with_them(there: There) -> None:
    customer = there.provider.customer_for(new_id("org"))
    call = a_call(
        Operation.CHARGE, now=there.now, customer_id=customer.object_id, method_id="pm_card_authenticationRequired", amount=21750
    )
    refusal = declined(there.provider, call)
    assert (refusal.code, refusal.needs_payer) == ("authentication_required", True)
    assert refusal.object_id is not None
    with pytest.raises(Declined, match="requires_action") as asked:
        there.provider.confirm(Confirmation(refusal.object_id, "pm_card_authenticationRequired", BACK), a_mark())
    assert (asked.value.object_id, asked.value.page is not None) == (refusal.object_id, True)
    paid = there.provider.confirm(Confirmation(refusal.object_id, "pm_card_visa", BACK), a_mark())
    assert (paid.state, paid.captured_minor, paid.object_id) == (PaymentState.CAPTURED, 21750, refusal.object_id)


def test_a_payer_is_one_customer_however_often_they_are_asked_for(there: There) -> None:
    payer = new_id("org")
    assert there.provider.find_customer(payer) is None
    first = there.provider.customer_for(payer)
    assert there.provider.customer_for(payer) == first
    assert there.search(payer) == first
    hold = held(there.provider, there.now, payer=payer)
    assert hold.customer_id == first.object_id


def test_a_card_is_kept_and_held_later_without_its_payer(there: There) -> None:
    customer = there.provider.customer_for(new_id("org"))
    order, mark = a_set_up(customer.object_id), a_mark()
    assert there.provider.find_setup(customer.object_id, mark) is None
    setup = there.provider.set_up(order, mark)
    assert (setup.state, setup.customer_id, setup.page, setup.declined) == (
        SetupState.SUCCEEDED,
        customer.object_id,
        None,
        None,
    )
    assert setup.method is not None
    assert (setup.method.kind, setup.method.brand, setup.method.last4) == ("card", "visa", "4242")
    assert there.provider.set_up(order, mark) == setup == there.provider.read_setup(setup.object_id)
    assert there.provider.find_setup(customer.object_id, mark) == setup
    hold = held(there.provider, there.now, customer_id=customer.object_id, method_id=setup.method.object_id, off_session=True)
    assert (hold.state, hold.customer_id) == (PaymentState.AUTHORISED, customer.object_id)


def test_keeping_a_card_may_need_its_payer_or_be_declined(there: There) -> None:
    customer = there.provider.customer_for(new_id("org"))
    asked = there.provider.set_up(a_set_up(customer.object_id, "pm_card_authenticationRequired"), a_mark())
    assert (asked.state, asked.page is not None) == (SetupState.NEEDS_PAYER, True)
    with pytest.raises(Declined, match="card_declined"):
        there.provider.set_up(a_set_up(customer.object_id, "pm_card_visa_chargeDeclined"), a_mark())


def test_a_page_to_pay_on_is_opened_found_and_closed(there: There) -> None:
    customer = there.provider.customer_for(new_id("org"))
    order, mark = a_checkout(customer.object_id, there.now, ways=(Way.CARD,), currency="USD"), a_mark()
    assert there.provider.find_checkout(customer.object_id, mark) is None
    page = there.provider.open_checkout(order, mark)
    assert (page.state, page.paid, page.customer_id) == (CheckoutState.OPEN, False, customer.object_id)
    assert page.page is not None
    assert page.expires_at == order.expires_at.replace(microsecond=0)
    assert there.provider.open_checkout(order, mark).object_id == page.object_id
    assert there.provider.find_checkout(customer.object_id, mark) == page == there.provider.read_checkout(page.object_id)
    closed = there.provider.expire_checkout(page.object_id, a_mark())
    assert (closed.state, closed.page) == (CheckoutState.EXPIRED, None)
    assert there.provider.expire_checkout(page.object_id, a_mark()) == closed


@pytest.mark.parametrize("purpose", [Purpose.HOLD, Purpose.KEEP_CARD])
def test_a_page_may_hold_or_keep_a_card_too(there: There, purpose: Purpose) -> None:
    customer = there.provider.customer_for(new_id("org"))
    order = a_checkout(customer.object_id, there.now, ways=(Way.CARD,), currency="USD", purpose=purpose)
    assert there.provider.open_checkout(order, a_mark()).state is CheckoutState.OPEN


def test_a_page_that_would_be_open_too_long_is_rejected(there: There) -> None:
    customer = there.provider.customer_for(new_id("org"))
    with pytest.raises(Rejected):
        there.provider.open_checkout(a_checkout(customer.object_id, there.now + timedelta(days=1), currency="USD"), a_mark())


def test_a_refund_is_a_fact_of_its_own(there: There) -> None:
    taken = captured(there.provider, there.now)
    call = a_call(Operation.REFUND, now=there.now, payment=taken, amount=7500)
    given = perform(there.provider, call)
    [refund] = given.refunds
    assert (given.captured_minor, given.refunded_minor) == (52500, 7500)
    assert (refund.state, refund.amount_minor, refund.made_by) == (RefundState.SUCCEEDED, 7500, call.key)
    assert (refund.booked_minor, refund.payment_id, refund.failure) == (7500, taken.object_id, None)
    assert there.provider.read_refund(refund.object_id) == refund
    with pytest.raises(Rejected):
        perform(there.provider, a_call(Operation.REFUND, now=there.now, payment=taken, amount=52500))


def test_a_pending_refund_has_not_arrived(there: There) -> None:
    taken = captured(there.provider, there.now, method_id="pm_card_pendingRefund")
    given = perform(there.provider, a_call(Operation.REFUND, now=there.now, payment=taken, amount=7500))
    assert [refund.state for refund in given.refunds] == [RefundState.PENDING]
    assert given.refunded_minor == 0


def test_what_nobody_knows_is_rejected(there: There) -> None:
    for read in (there.provider.read_payment, there.provider.read_refund, there.provider.read_setup):
        with pytest.raises(Rejected):
            read("pi_nobody_knows_this")


def test_events_tell_of_a_payment_by_its_id(there: There) -> None:
    hold = held(there.provider, there.now)
    kinds = {
        event.kind for event in there.provider.events_since(there.now - timedelta(minutes=5)) if event.object_id == hold.object_id
    }
    assert "payment_intent.amount_capturable_updated" in kinds


def test_what_can_be_paid_out_is_told_by_currency(there: There) -> None:
    assert all(len(currency) == 3 and currency.isupper() for currency in there.provider.available())
