"""Holds, banks that ask, fees that come later, refunds that arrive or come back: what the stand-in does by its clock."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing.providers.base import Declined, NoAnswer, RefundState, Rejected, SetupState
from billing.providers.stand_in.methods import METHODS
from billing.providers.stripe_connect import StripeConnect
from billing.tables import Operation, PaymentState
from billing.webhooks import BadSignature, verify
from marketplace.ids import new_id
from tests.billing.conftest import Stripe
from tests.billing.listening import listening
from tests.billing.providers.conftest import (
    Asking,
    a_call,
    a_mark,
    a_set_up,
    captured,
    declined,
    held,
    perform,
    press,
)

DAY_S = 24 * 3600


def kinds(stripe: Stripe) -> list[str]:
    return [event["type"] for event in stripe.state.shop.events]


def test_a_hold_ends_after_seven_days(stripe: Stripe) -> None:
    hold = held(stripe.provider, stripe.state.shop.now)
    assert hold.capture_before == stripe.state.shop.now + timedelta(days=7)
    stripe.order(advance_s=7 * DAY_S - 1)
    assert stripe.provider.read_payment(hold.object_id).state is PaymentState.AUTHORISED
    stripe.order(advance_s=1)
    assert stripe.provider.read_payment(hold.object_id).state is PaymentState.RELEASED
    assert kinds(stripe)[-2:] == ["charge.expired", "payment_intent.canceled"]


@pytest.mark.parametrize(("card", "life"), [("visa", timedelta(days=4, hours=18)), ("mastercard", timedelta(days=7))])
def test_a_visa_hold_without_its_payer_is_shorter(stripe: Stripe, card: str, life: timedelta) -> None:
    customer = stripe.provider.customer_for(new_id("org")).object_id
    method = stripe.provider.set_up(a_set_up(customer, f"pm_card_{card}"), a_mark()).method
    assert method is not None
    values = {"customer_id": customer, "method_id": method.object_id, "off_session": True}
    assert held(stripe.provider, stripe.state.shop.now, **values).capture_before == stripe.state.shop.now + life


def test_a_captured_hold_does_not_end(stripe: Stripe) -> None:
    taken = captured(stripe.provider, stripe.state.shop.now)
    assert taken.capture_before is not None
    stripe.order(advance_s=8 * DAY_S)
    assert stripe.provider.read_payment(taken.object_id) == taken


def test_banks_may_end_holds_early(stripe: Stripe) -> None:
    hold = held(stripe.provider, stripe.state.shop.now)
    stripe.order(fault="expired_holds")
    with pytest.raises(Rejected):
        perform(stripe.provider, a_call(Operation.CAPTURE, now=stripe.state.shop.now, payment=hold, amount=52500))
    assert stripe.provider.read_payment(hold.object_id).state is PaymentState.RELEASED


def test_a_payer_answers_the_bank_and_the_hold_is_there(stripe: Stripe) -> None:
    call = a_call(Operation.HOLD, now=stripe.state.shop.now, method_id="pm_card_authenticationRequired", currency="CNY")
    refusal = declined(stripe.provider, call)
    assert refusal.page is not None
    assert press(refusal.page, "yes").headers["location"].endswith(f"/zh/bookings/{call.parameters['booking']}/payment/back")
    found = stripe.provider.look(call)
    assert found is not None
    assert (found.object_id, stripe.count("payment_intent")) == (refusal.object_id, 1)
    assert press(refusal.page, "yes").status_code == 400


def test_a_payer_who_cannot_prove_it_pays_nothing(stripe: Stripe) -> None:
    call = a_call(Operation.HOLD, now=stripe.state.shop.now, method_id="pm_card_authenticationRequired")
    refusal = declined(stripe.provider, call)
    assert (refusal.page, refusal.object_id) != (None, None)
    press(str(refusal.page), "no")
    with pytest.raises(Declined, match="payment_intent_authentication_failure"):
        stripe.provider.look(call)
    assert kinds(stripe) == ["payment_intent.requires_action", "payment_intent.payment_failed"]


def test_a_card_whose_bank_asks_once_is_charged_without_its_payer_afterwards(stripe: Stripe) -> None:
    customer = stripe.provider.customer_for(new_id("org")).object_id
    setup = stripe.provider.set_up(a_set_up(customer, "pm_card_authenticationRequiredOnSetup"), a_mark())
    assert (setup.state, setup.page is not None) == (SetupState.NEEDS_PAYER, True)
    press(str(setup.page), "yes")
    kept = stripe.provider.read_setup(setup.object_id)
    assert (kept.state, kept.page, kept.method is not None) == (SetupState.SUCCEEDED, None, True)
    assert kept.method is not None
    values = {"customer_id": customer, "method_id": kept.method.object_id}
    assert perform(stripe.provider, a_call(Operation.CHARGE, now=stripe.state.shop.now, **values)).captured_minor == 72000
    stranger = stripe.provider.customer_for(new_id("org")).object_id
    with pytest.raises(Rejected):
        perform(stripe.provider, a_call(Operation.CHARGE, now=stripe.state.shop.now, **{**values, "customer_id": stranger}))


def test_a_set_up_that_was_not_proved_waits_for_another_card(stripe: Stripe) -> None:
    customer = stripe.provider.customer_for(new_id("org")).object_id
    setup = stripe.provider.set_up(a_set_up(customer, "pm_card_authenticationRequired"), a_mark())
    press(str(setup.page), "no")
    left = stripe.provider.read_setup(setup.object_id)
    assert (left.state, left.declined) == (SetupState.NEEDS_METHOD, "setup_intent_authentication_failure")


def test_a_card_that_can_be_kept_may_be_declined_later(stripe: Stripe) -> None:
    customer = stripe.provider.customer_for(new_id("org")).object_id
    method = stripe.provider.set_up(a_set_up(customer, "pm_card_chargeCustomerFail"), a_mark()).method
    assert method is not None
    values = {"customer_id": customer, "method_id": method.object_id}
    assert declined(stripe.provider, a_call(Operation.CHARGE, now=stripe.state.shop.now, **values)).code == "card_declined"


def test_the_fee_of_an_automatic_capture_may_be_known_later(stripe: Stripe) -> None:
    stripe.order(fee_delay_s=3600)
    hold = held(stripe.provider, stripe.state.shop.now, currency="CNY")
    call = a_call(Operation.CHARGE, now=stripe.state.shop.now, payment=hold, amount=21750, currency="CNY")
    charge = perform(stripe.provider, call)
    assert (charge.captured_minor, charge.fee_minor, stripe.provider.balance()) == (21750, 0, {})
    stripe.order(advance_s=3600)
    assert stripe.provider.read_payment(charge.object_id).fee_minor == 940
    assert stripe.provider.balance() == {"CNY": 20810} == stripe.provider.available()
    [told] = [event for event in stripe.provider.events_since(stripe.state.shop.now) if event.kind == "charge.updated"]
    assert told.object_id == charge.object_id


def test_a_pending_refund_arrives(stripe: Stripe) -> None:
    taken = captured(stripe.provider, stripe.state.shop.now, method_id="pm_card_pendingRefund")
    perform(stripe.provider, a_call(Operation.REFUND, now=stripe.state.shop.now, payment=taken, amount=7500))
    assert stripe.provider.balance() == {"USD": 52500}
    stripe.order(advance_s=3600)
    read = stripe.provider.read_payment(taken.object_id)
    assert (read.refunded_minor, [refund.state for refund in read.refunds]) == (7500, [RefundState.SUCCEEDED])
    assert stripe.provider.balance() == {"USD": 45000}
    assert kinds(stripe)[-4:] == ["refund.created", "charge.refunded", "refund.updated", "charge.refund.updated"]


def test_a_refund_that_comes_back_is_on_the_account_again(stripe: Stripe) -> None:
    taken = captured(stripe.provider, stripe.state.shop.now, method_id="pm_card_refundFail")
    call = a_call(Operation.REFUND, now=stripe.state.shop.now, payment=taken, amount=7500)
    given = perform(stripe.provider, call)
    assert (given.refunded_minor, stripe.provider.balance()) == (7500, {"USD": 45000})
    stripe.order(advance_s=3600)
    read = stripe.provider.read_payment(taken.object_id)
    [refund] = read.refunds
    assert (read.refunded_minor, refund.state, refund.booked_minor) == (0, RefundState.FAILED, 0)
    assert (refund.failure, stripe.provider.balance()) == ("expired_or_canceled_card", {"USD": 52500})
    assert stripe.state.shop.all("charge")[0]["amount_refunded"] == 0
    assert kinds(stripe)[-3:] == ["refund.updated", "charge.refund.updated", "refund.failed"]
    assert stripe.provider.look(call) == read
    again = replace(call, key=f"{call.key}:again")
    assert perform(stripe.provider, again).refunded_minor == 7500


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.kind == "card"])
def test_every_test_card_behaves_as_it_is_called(stripe: Stripe, name: str) -> None:
    call = a_call(Operation.HOLD, now=stripe.state.shop.now, method_id=name)
    if "Declined" in name or "CustomerFail" in name:
        assert declined(stripe.provider, call).code == "card_declined"
    elif "authentication" in name:
        assert declined(stripe.provider, call).code == "requires_action"
    else:
        assert perform(stripe.provider, call).state is PaymentState.AUTHORISED


def test_an_answer_that_comes_too_late_is_no_answer_and_a_twin_is_none_either(stripe: Stripe) -> None:
    hasty = StripeConnect("sk_test_x", stripe.url, timeout_s=0.3)
    call = a_call(Operation.CHARGE, now=stripe.state.shop.now, customer_id=hasty.customer_for("org_1").object_id)
    stripe.order(fault="late_answer")
    for _ in range(2):
        with pytest.raises(NoAnswer):
            hasty.perform(call)
    stripe.order(release=True)
    while stripe.state.in_flight:
        stripe.order()
    assert perform(stripe.provider, call).captured_minor == 72000
    assert stripe.count("payment_intent") == 1


def test_a_stale_delivery_is_refused_and_the_next_is_taken(stripe: Stripe) -> None:
    got: list[tuple[str, bytes]] = []
    with listening(lambda signature, body: got.append((signature, body))) as url:
        stripe.order(webhook_url=url, fault="stale_events")
        held(stripe.provider, stripe.state.shop.now)
        held(stripe.provider, stripe.state.shop.now)
        stripe.state.sender.submit(int).result(10)
    (stale, first), (fresh, second) = got
    with pytest.raises(BadSignature):
        verify(first, stale, ("whsec_stand_in",), now=stripe.state.shop.now)
    assert verify(second, fresh, ("whsec_stand_in",), now=stripe.state.shop.now).kind.startswith("payment_intent.")


def test_a_wallet_cannot_be_held(stripe: Stripe) -> None:
    data = {"amount": "600", "currency": "cny", "payment_method": "alipay", "confirm": "true", "capture_method": "manual"}
    assert Asking(stripe.url).post("/v1/payment_intents", **data).status_code == 400
