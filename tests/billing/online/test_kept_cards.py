"""A slot more than five days ahead: the card is kept, the amount held two days before the start, and a refusal is told."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from billing import cancelling, outbox, queries
from billing.payments import due
from billing.payments.owing import Need, pay_open, what_is_open
from billing.payments.queries import find_page
from billing.settlement import Funding
from billing.tables import CallState, PaymentState
from booking.states import BookingState
from booking.tables import Booking
from marketplace.roles import Role
from marketplace.tables import Institution, Message
from tests.billing.online.test_paying_the_rest import refuse
from tests.billing.online.town import Town, Watch
from tests.billing.test_card_flow import START
from tests.builders import a_member

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def watch() -> Watch:
    return Watch(START - 20 * DAY)


def kept(town: Town, *, method: str | None = "pm_card_visa") -> str:
    booking_id = town.book(funding=Funding.CARD, method=method)
    town.wait()
    return booking_id


def calls(town: Town, booking_id: str) -> list[str]:
    with town.sessions() as session:
        return [call.operation.value for call in queries.calls_of(session, booking_id)]


def until(town: Town, moment: datetime) -> None:
    town.watch.now = moment
    town.wait()


def test_a_slot_far_ahead_keeps_the_card_and_holds_two_days_before_the_start(town: Town) -> None:
    booking_id = kept(town)
    town.wait()
    assert (town.state(booking_id), town.stripe.count("payment_intent")) == (BookingState.CONFIRMED, 0)
    until(town, START - 48 * HOUR - timedelta(seconds=1))
    assert town.stripe.count("payment_intent") == 0
    until(town, START - 48 * HOUR)
    with town.sessions() as session:
        [payment] = queries.payments_of(session, booking_id)
        assert (payment.state, payment.authorised_minor) == (PaymentState.AUTHORISED, 72000)
        assert payment.capture_before == START - 48 * HOUR + timedelta(days=4, hours=18)  # a Visa card, its payer away
    until(town, START + 3 * HOUR)
    town.use(booking_id, minutes=97)
    town.wait()
    assert (town.settled(booking_id), calls(town, booking_id)) == ("settled", ["keep", "hold", "capture", "transfer"])
    assert [town.stripe.count(kind) for kind in ("customer", "setup_intent", "payment_intent")] == [1, 1, 1]
    town.assert_sound()


def test_a_hold_on_a_visa_card_ends_before_silence_accepts_and_is_guarded(town: Town) -> None:
    booking_id = kept(town)
    until(town, START - 48 * HOUR)
    ends = START - 48 * HOUR + timedelta(days=4, hours=18)
    with town.sessions.begin() as session:
        assert due.guard_holds(session, now=ends - 12 * HOUR - timedelta(seconds=1)) == 0
        assert due.guard_holds(session, now=ends - 12 * HOUR) == 1
    until(town, ends - 12 * HOUR)
    assert town.balances(booking_id)["PREP"] == -60000
    town.use(booking_id, minutes=97)
    town.wait()
    assert (town.settled(booking_id), town.balances(booking_id)["FEE"]) == ("settled", -4200)
    town.assert_sound()


def test_a_card_that_is_entered_on_a_page_is_kept_too(town: Town) -> None:
    booking_id = kept(town, method=None)
    [page] = town.stripe.state.shop.all("checkout.session")
    assert page["mode"] == "setup"
    town.press(town.page(booking_id), "pm_card_mastercard")
    town.hear()
    assert town.state(booking_id) is BookingState.CONFIRMED
    until(town, START - 47 * HOUR)
    with town.sessions() as session:
        assert [one.state for one in queries.payments_of(session, booking_id)] == [PaymentState.AUTHORISED]
    town.assert_sound()


def test_a_bank_that_asks_when_the_card_is_kept_is_answered_on_its_page(town: Town) -> None:
    booking_id = kept(town, method="pm_card_authenticationRequiredOnSetup")
    assert town.state(booking_id) is BookingState.HELD
    town.press(town.page(booking_id), "yes")
    town.hear()
    assert town.state(booking_id) is BookingState.CONFIRMED
    town.assert_sound()


def test_a_card_that_cannot_be_kept_secures_nothing(town: Town) -> None:
    booking_id = kept(town, method="pm_card_chargeDeclined")
    with town.sessions() as session:
        assert [one.state for one in queries.payments_of(session, booking_id)] == [PaymentState.FAILED]
    town.wait(2 * HOUR)
    assert town.state(booking_id) is BookingState.EXPIRED
    town.assert_sound()


def test_a_hold_that_is_refused_is_told_to_both_sides_and_can_be_made_good(town: Town) -> None:
    booking_id = kept(town)
    with town.sessions.begin() as session:
        booking = session.get_one(Booking, booking_id)
        finance = a_member(session, Role.FINANCE, institution=session.get_one(Institution, booking.institution_id)).id
        firm = booking.person_id
    refuse(town, "pm_card_chargeDeclined")
    until(town, START - 48 * HOUR)
    with town.sessions.begin() as session:
        told = session.execute(select(Message.person_id, Message.kind).where(Message.kind.startswith("payment_"))).all()
        assert {tuple(row) for row in told} == {(firm, "payment_hold_refused"), (finance, "payment_unsecured")}
        booking = session.get_one(Booking, booking_id)
        found = what_is_open(session, booking=booking, now=town.now)
        assert found is not None
        assert (found.need, found.amount.minor) == (Need.HOLD, 72000)
        pay_open(session, booking=booking, now=town.now)
    town.wait()
    town.press(town.page(booking_id), "pm_card_mastercard")
    town.hear()
    with town.sessions() as session:
        states = [one.state for one in queries.payments_of(session, booking_id)]
        assert states == [PaymentState.FAILED, PaymentState.AUTHORISED]
        assert what_is_open(session, booking=session.get_one(Booking, booking_id), now=town.now) is None
    until(town, START + 3 * HOUR)
    town.use(booking_id, minutes=97)
    town.wait()
    assert town.settled(booking_id) == "settled"
    town.assert_sound()


def test_a_booking_without_a_hold_stands_and_its_use_is_charged_afterwards(town: Town) -> None:
    booking_id = kept(town)
    refuse(town, "pm_card_chargeDeclined")
    until(town, START - 48 * HOUR)
    until(town, START + 3 * HOUR)
    assert town.state(booking_id) is BookingState.CONFIRMED
    refuse(town, "pm_card_visa")
    town.use(booking_id, minutes=97)
    town.wait()
    assert (town.settled(booking_id), town.balances(booking_id)["FEE"]) == ("settled", -4200)
    town.assert_sound()


@pytest.mark.parametrize("late", [True, False])
def test_a_cancelled_booking_forgets_its_card_or_charges_its_fee_to_it(town: Town, late: bool) -> None:
    booking_id = kept(town)
    town.watch.now = START - 50 * HOUR + (20 * HOUR if late else timedelta(0))
    with town.sessions.begin() as session:
        booking = session.get_one(Booking, booking_id)
        booking.state, booking.cancelled_at = BookingState.CANCELLED, town.now
        fee = cancelling.settle_cancellation(session, booking=booking, free=False, now=town.now)
        assert fee.minor == (15000 if late else 0)
    town.wait()
    assert [charge["amount_captured"] for charge in town.stripe.state.shop.all("charge")] == ([15000] if late else [])
    assert "hold" not in calls(town, booking_id)
    town.assert_sound()


@pytest.mark.parametrize("step", ["keep", "hold"])
@pytest.mark.parametrize("later", [timedelta(minutes=6), timedelta(hours=30)])
def test_a_crash_keeps_one_card_and_holds_once(town: Town, step: str, later: timedelta) -> None:
    booking_id = town.book(funding=Funding.CARD, method="pm_card_visa", held=timedelta(days=3))
    if step == "hold":
        town.wait()
        town.watch.now = START - 48 * HOUR
        with town.sessions.begin() as session:
            assert due.take_holds(session, now=town.now) == [booking_id]
    with town.sessions.begin() as session:
        call = outbox.claim(session, now=town.now)
    assert call is not None
    assert call.operation.value == step
    outbox.call(call, town.stripe.provider)
    town.wait(later)
    with town.sessions() as session:
        assert {one.state for one in queries.calls_of(session, booking_id)} == {CallState.DONE}
        page = find_page(session, queries.payments_of(session, booking_id)[0].id)
        assert page is not None
        assert page.kept_at is not None
    assert [town.stripe.count(kind) for kind in ("customer", "setup_intent")] == [1, 1]
    assert town.stripe.count("payment_intent") == (1 if step == "hold" else 0)
    town.assert_sound()


def test_a_hold_that_the_bank_lets_go_before_the_start_is_told_and_can_be_made_good(town: Town) -> None:
    town.watch.now = START - 3 * DAY
    booking_id = kept(town)
    town.stripe.order(fault="expired_holds")
    town.stripe.provider.customer_for("org_any")
    town.hear()
    with town.sessions() as session:
        assert [one.state for one in queries.payments_of(session, booking_id)] == [PaymentState.RELEASED]
        assert session.scalars(select(Message.kind).where(Message.kind == "payment_hold_refused")).all() != []
        found = what_is_open(session, booking=session.get_one(Booking, booking_id), now=town.now)
        assert found is not None
        assert found.need is Need.HOLD
    town.assert_sound()
