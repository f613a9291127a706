"""A wallet pays the quote when booking; what the use did not cost goes back, and what it cost more is asked for."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from billing import cancelling, outbox, queries
from billing.payments.actions import release_all
from billing.payments.applying import apply_fact
from billing.payments.owing import pay_open
from billing.payments.pages import look
from billing.payments.queries import refunds_of_booking, refunds_stuck
from billing.payments.refunds import send_again
from billing.providers.base import RefundState
from billing.tables import PaymentState
from booking.states import BookingState
from booking.tables import Booking
from marketplace.refusals import NotFound
from marketplace.tables import Message
from tests.billing.online.test_paying_the_rest import refuse
from tests.billing.online.town import Town
from tests.billing.test_card_flow import START

CASES = json.loads((Path(__file__).parents[2] / "data/billing_cases.json").read_text())["scenarios"]
B09 = next(case for case in CASES if case["id"] == "B09")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
IN_TIME = timedelta(days=2, hours=3)
"""From booking to after the use."""


def prepaid(town: Town, *, choice: str = "alipay") -> str:
    booking_id = town.book()
    town.wait()
    town.press(town.page(booking_id), choice)
    town.hear()
    return booking_id


def test_the_worked_case_of_a_wallet_end_to_end(town: Town) -> None:
    booking_id = prepaid(town)
    assert town.state(booking_id) is BookingState.CONFIRMED
    town.watch.now += IN_TIME
    town.use(booking_id, minutes=97)
    town.wait()
    assert (town.balances(booking_id)["RIT"], town.settled(booking_id)) == (-7500, "accepted")
    town.wait(2 * HOUR)
    town.hear()
    posted = town.entries(booking_id)
    assert sorted(posted, key=str) == sorted(((one["kind"], one["legs"]) for one in B09["journal"]), key=str)
    assert (town.balances(booking_id), town.settled(booking_id)) == (B09["end_balances"], "settled")
    assert [town.stripe.count(kind) for kind in ("checkout.session", "payment_intent", "refund", "transfer")] == [1, 1, 1, 1]
    town.assert_sound()


def test_a_booking_is_held_until_its_wallet_has_paid_and_its_page_ends_before_the_hold(town: Town) -> None:
    booking_id = town.book()
    town.wait()
    with town.sessions() as session:
        held_until = session.get_one(Booking, booking_id).hold_until
    [page] = town.stripe.state.shop.all("checkout.session")
    assert held_until is not None
    assert (town.state(booking_id), page["amount_total"]) == (BookingState.HELD, 60000)
    assert page["payment_method_types"] == ["alipay", "wechat_pay"]
    assert page["expires_at"] == int((held_until - timedelta(minutes=5)).timestamp())
    town.wait(HOUR - timedelta(minutes=6))
    assert town.state(booking_id) is BookingState.HELD
    town.wait(timedelta(minutes=7))
    assert town.state(booking_id) is BookingState.EXPIRED
    with town.sessions() as session:
        assert [one.state for one in queries.payments_of(session, booking_id)] == [PaymentState.FAILED]
    assert town.entries(booking_id) == []
    town.assert_sound()


@pytest.mark.parametrize("how", ["event", "look", "close"])
def test_a_payment_is_heard_of_by_event_by_looking_and_at_the_pages_end(town: Town, how: str) -> None:
    booking_id = town.book()
    town.wait()
    town.press(town.page(booking_id), "wechat_pay")
    if how == "event":
        town.hear()
    elif how == "look":
        with town.sessions.begin() as session:
            assert (look(session, booking_id=booking_id, now=town.now), look(session, booking_id=booking_id, now=town.now)) == (
                1,
                0,
            )
        town.wait()
        town.wait()
    else:
        town.wait(timedelta(minutes=56))
        town.wait()
    assert town.state(booking_id) is BookingState.CONFIRMED
    town.hear()
    assert town.balances(booking_id) == {"PSP": 58480, "PFE": 1520, "PREP": -60000}
    town.assert_sound()


def test_what_is_paid_after_the_hold_has_ended_goes_back_whole(town: Town) -> None:
    booking_id = town.book()
    town.wait()
    address = town.page(booking_id)
    with town.sessions.begin() as session:  # our clock is ahead of the provider's: here the hold is over, there the page is open
        booking = session.get_one(Booking, booking_id)
        booking.state = BookingState.EXPIRED
        release_all(session, booking=booking, now=town.now)
    town.press(address, "alipay")
    town.wait()
    town.wait(2 * HOUR)
    town.hear()
    assert [made["amount"] for made in town.stripe.state.shop.all("refund")] == [60000]
    assert town.balances(booking_id) == {"PSP": -1520, "PFE": 1520}
    town.assert_sound()


def test_a_booking_that_ends_before_it_is_paid_closes_its_page(town: Town) -> None:
    booking_id = town.book()
    town.wait()
    with town.sessions.begin() as session:
        booking = session.get_one(Booking, booking_id)
        booking.state = BookingState.CANCELLED
        release_all(session, booking=booking, now=town.now)
        release_all(session, booking=booking, now=town.now)
    town.wait()
    assert [page["status"] for page in town.stripe.state.shop.all("checkout.session")] == ["expired"]
    assert town.entries(booking_id) == []
    town.assert_sound()


def test_a_page_whose_answer_was_lost_is_one_page(town: Town) -> None:
    booking_id = town.book()
    with town.sessions.begin() as session:
        call = outbox.claim(session, now=town.now)
    assert call is not None
    outbox.call(call, town.stripe.provider)  # opened; the process dies before it is recorded
    town.wait(timedelta(minutes=6))
    town.press(town.page(booking_id), "alipay")
    town.hear()
    assert (town.state(booking_id), town.stripe.count("checkout.session")) == (BookingState.CONFIRMED, 1)
    town.assert_sound()


def test_a_refund_that_fails_is_the_firms_again_and_is_sent_again(town: Town) -> None:
    booking_id = prepaid(town, choice="alipay_refundFail")
    town.watch.now += IN_TIME
    town.use(booking_id, minutes=97)
    town.wait()
    town.wait(2 * HOUR)
    town.hear()
    assert (town.balances(booking_id)["SUS"], town.settled(booking_id)) == (-7500, "accepted")
    assert ("refund_failed", {"RIT": 7500, "SUS": -7500}) in town.entries(booking_id)
    town.assert_sound()
    [intent] = town.stripe.state.shop.all("payment_intent")
    method = town.stripe.state.shop.get("payment_method", intent["payment_method"])
    method["stand_in"]["name"] = "alipay"  # the firm's account there takes money again
    town.wait(DAY)
    town.wait(2 * HOUR)
    town.hear()
    assert (town.balances(booking_id), town.settled(booking_id)) == (B09["end_balances"], "settled")
    with town.sessions() as session:
        states = [row.state for row in refunds_of_booking(session, booking_id)]
        assert states == [RefundState.FAILED, RefundState.SUCCEEDED]
        kinds = select(Message.kind).where(Message.kind == "payment_refund_failed")
        assert session.scalars(kinds).all() == ["payment_refund_failed"]
    town.assert_sound()


def test_a_refund_that_always_fails_is_sent_three_times_and_stays_the_firms(town: Town) -> None:
    booking_id = prepaid(town, choice="alipay_refundFail")
    town.watch.now += IN_TIME
    town.use(booking_id, minutes=97)
    for _ in range(6):
        town.wait(DAY + HOUR)
        town.hear()
    assert town.stripe.count("refund") == 3
    assert (town.balances(booking_id)["SUS"], town.settled(booking_id)) == (-7500, "accepted")
    with town.sessions() as session:
        again = session.scalars(select(Message.data["again"].as_string()).where(Message.kind == "payment_refund_failed")).all()
    assert [one is None for one in again].count(True) == 1
    town.assert_sound()


def test_a_refund_that_comes_back_after_it_had_arrived_is_taken_up_again(town: Town) -> None:
    booking_id = prepaid(town)
    town.watch.now += IN_TIME
    [intent] = town.stripe.state.shop.all("payment_intent")
    method = town.stripe.state.shop.get("payment_method", intent["payment_method"])
    method["stand_in"]["name"] = "pm_card_refundFail"
    town.use(booking_id, minutes=97)
    town.wait()
    assert town.settled(booking_id) == "settled"
    town.wait(2 * HOUR)
    town.hear()
    assert ("refund_failed", {"PSP": 7500, "SUS": -7500}) in town.entries(booking_id)
    town.assert_sound()
    method["stand_in"]["name"] = "pm_card_visa"
    town.wait(DAY)
    assert town.balances(booking_id) == B09["end_balances"]
    town.assert_sound()


def test_what_a_wallet_did_not_cover_is_paid_on_a_page(town: Town) -> None:
    booking_id = prepaid(town)
    town.watch.now += IN_TIME
    town.use(booking_id, minutes=165)
    town.wait()
    rest = town.balances(booking_id)["AR"]
    with town.sessions.begin() as session:
        assert session.scalars(select(Message.data["minor"].as_integer()).where(Message.kind == "payment_rest")).all() == [rest]
        pay_open(session, booking=session.get_one(Booking, booking_id), now=town.now)
    town.wait()
    town.press(town.page(booking_id), "alipay")
    town.hear()
    assert town.settled(booking_id) == "settled"
    assert set(town.balances(booking_id)) == {"PSP", "PFE", "FEE"}
    assert (
        sum(made["amount"] for made in town.stripe.state.shop.all("transfer")) == 60000 + rest + town.balances(booking_id)["FEE"]
    )
    town.assert_sound()


def test_a_wallet_s_late_cancellation_keeps_the_fee_and_pays_the_rest_back(town: Town) -> None:
    booking_id = prepaid(town)
    town.watch.now = START - timedelta(hours=30)
    with town.sessions.begin() as session:
        booking = session.get_one(Booking, booking_id)
        booking.state, booking.cancelled_at = BookingState.CANCELLED, town.now
        assert cancelling.settle_cancellation(session, booking=booking, free=False, now=town.now).minor == 15000
    town.wait()
    town.wait(2 * HOUR)
    town.hear()
    assert [made["amount"] for made in town.stripe.state.shop.all("refund")] == [45000]
    assert town.settled(booking_id) == "settled"
    town.assert_sound()


def test_the_operator_sends_again_what_is_not_sent_by_itself_any_more(town: Town) -> None:
    booking_id = prepaid(town, choice="alipay_refundFail")
    town.watch.now += IN_TIME
    town.use(booking_id, minutes=97)
    for _ in range(4):
        town.wait(DAY + HOUR)
        town.hear()
    refuse(town, "alipay")
    with town.sessions.begin() as session:
        [stuck] = refunds_stuck(session, now=town.now)
        assert (stuck.amount.minor, stuck.failure) == (7500, "expired_or_canceled_card")
        send_again(session, payment_id=stuck.payment_id, now=town.now)
        with pytest.raises(NotFound):
            send_again(session, payment_id=stuck.payment_id, now=town.now)
    town.wait()
    town.wait(2 * HOUR)
    town.hear()
    assert (town.balances(booking_id), town.settled(booking_id)) == (B09["end_balances"], "settled")
    town.assert_sound()


def test_a_refund_from_before_refunds_had_rows_is_not_posted_again(town: Town) -> None:
    booking_id = prepaid(town)
    town.watch.now += IN_TIME
    town.use(booking_id, minutes=97)
    town.wait()
    town.wait(2 * HOUR)
    town.hear()
    before = town.entries(booking_id)
    with town.sessions.begin() as session:
        for row in refunds_of_booking(session, booking_id):
            session.delete(row)
    town.watch.now += DAY
    with town.sessions.begin() as session:
        [payment] = queries.payments_of(session, booking_id)
        fact = town.stripe.provider.read_payment(str(payment.object_id))
        apply_fact(session, payment=payment, fact=fact, now=town.now)
        assert [row.state for row in refunds_of_booking(session, booking_id)] == [RefundState.SUCCEEDED]
    assert town.entries(booking_id) == before
    town.assert_sound()
