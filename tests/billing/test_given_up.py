"""A late move that asks the house anew: refused or unanswered, the time given up for it costs what cancelling it had cost."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from billing import cancelling, invariants, ledger, queries
from billing.quotes import actions as quoting
from billing.resale import actions as resale
from billing.resale.queries import find_credit
from billing.tables import BookingQuote, PaymentState, Statement
from booking import actions as bookings
from booking.actions import CancelledBy
from booking.states import BookingState
from booking.tables import Approval, Booking
from marketplace.slot import Slot
from marketplace.tables import Message
from tests.billing.conftest import Stripe, work
from tests.billing.test_resale import AFTER, BEFORE, House, a_card_house, minutes
from tests.builders import a_resource, a_rule_version
from web.running import audit

FIRST = minutes(0, 120)
LATE = BEFORE + timedelta(hours=1)
"""Within a day and two of the start: a quarter of 600.00."""


@dataclass
class Asking(House):
    """A house that answers each request."""

    def approved(self, slot: Slot = FIRST) -> Booking:
        made = self.booked(slot)
        if made.state is BookingState.HELD:
            made = bookings.confirm_hold(self.session, booking_id=made.id, now=BEFORE)
        return bookings.approve(self.session, booking_id=made.id, actor_id="per_house", now=BEFORE)

    def asks_for(self, booking: Booking, by: timedelta) -> None:
        """Its customer moves it."""
        to, who = booking.slot.shift(by), booking.person_id
        bookings.move(self.session, booking_id=booking.id, slot=to, version=booking.version, actor_id=who, now=LATE)
        bookings.ask_again(self.session, booking_id=booking.id, now=LATE)
        self.requoted(booking)

    def requoted(self, booking: Booking) -> None:
        quoting.requote_booking(self.session, booking=booking, given_up=True, now=LATE)

    def refused(self, booking: Booking) -> int:
        row = bookings.refuse(self.session, booking_id=booking.id, actor_id="per_house", now=LATE)
        return cancelling.settle_refusal(self.session, booking=row, now=LATE).minor

    def lapsed(self, booking: Booking) -> int:
        row = bookings.expire(self.session, booking_id=booking.id, now=booking.answer_by)
        return cancelling.settle_refusal(self.session, booking=row, now=booking.answer_by).minor


def asking(session: Session) -> Asking:
    place = a_resource(session, rules={"approval": Approval.REQUEST})
    return Asking(session, place)


@pytest.fixture
def house(db: Session) -> Asking:
    return asking(db)


def bill(session: Session, booking: Booking) -> Statement:
    found = queries.statement_of_booking(session, booking.id)
    assert found is not None
    return found


@pytest.mark.parametrize("ends", [Asking.refused, Asking.lapsed])
def test_what_was_given_up_late_is_charged_as_a_cancellation(house: Asking, ends: object) -> None:
    booking = house.approved()
    house.asks_for(booking, timedelta(days=20))
    assert ends(house, booking) == 15000  # type: ignore[operator]
    made = bill(house.session, booking)
    assert [(line["code"], line["amount"]["minor"]) for line in made.lines] == [("cancellation", 15000)]
    assert house.session.get_one(BookingQuote, made.quote_id).slot == FIRST
    assert queries.charged_for_giving_up(house.session, [booking.id])[booking.id].minor == 15000
    assert audit(house.session) == []


def test_a_first_request_and_one_after_an_early_move_cost_nothing(house: Asking) -> None:
    first, early = house.booked(FIRST), house.approved(FIRST.shift(timedelta(days=9)))
    house.asks_for(early, timedelta(days=20))
    assert [house.refused(one) for one in (first, early)] == [0, 0]
    assert [queries.statement_of_booking(house.session, one.id) for one in (first, early)] == [None, None]
    assert queries.charged_for_giving_up(house.session, [first.id, early.id]) == {}


def test_who_withdraws_the_request_owes_the_same(house: Asking) -> None:
    booking = house.approved()
    house.asks_for(booking, timedelta(days=20))
    who = booking.person_id
    row = bookings.cancel(house.session, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id=who, now=LATE)
    assert cancelling.settle_cancellation(house.session, booking=row, free=False, now=LATE).minor == 15000


def test_a_yes_leaves_nothing_to_pay_but_a_later_no_does(house: Asking) -> None:
    booking = house.approved()
    house.asks_for(booking, timedelta(days=20))
    bookings.approve(house.session, booking_id=booking.id, actor_id="per_house", now=LATE)
    assert queries.statement_of_booking(house.session, booking.id) is None
    house.asks_for(booking, timedelta(days=1))
    assert house.refused(booking) == 15000
    assert house.session.get_one(BookingQuote, bill(house.session, booking).quote_id).slot == FIRST


def test_the_fee_goes_back_for_what_others_had_of_the_time_given_up_and_of_no_other(house: Asking) -> None:
    a_rule_version(house.session, house.resource, number=2)
    a_rule_version(house.session, house.resource, number=3, approval=Approval.REQUEST)
    booking = house.approved()
    house.asks_for(booking, timedelta(minutes=180))
    assert house.refused(booking) == 15000
    a_rule_version(house.session, house.resource, number=4)
    house.used(house.booked(minutes(30, 120)))
    house.used(house.booked(minutes(180, 300)))
    row = house.decided(booking)
    assert (row.resold_s, row.credit_minor) == (5400, 11250)
    assert [(line["code"], line["amount"]["minor"]) for line in bill(house.session, booking).lines] == [
        ("cancellation", 15000), ("resold", -11250), ("correction", -15000),
    ]  # fmt: skip
    [told] = house.session.query(Message).where(Message.kind == "statement_credited", Message.person_id == booking.person_id)
    assert told.data["start"] == FIRST.start.isoformat()
    assert audit(house.session) == []


def test_a_time_that_a_series_keeps_is_not_given_up(house: Asking) -> None:
    booking = house.approved()
    house.requoted(booking)
    assert queries.given_up(house.session, booking.id) is None
    assert queries.quote_of_booking(house.session, booking.id).owed_minor == 0


def test_of_a_card_no_more_is_taken_than_the_fee(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    with committed_db.begin() as session:
        paid = a_card_house(session)
        a_rule_version(session, paid.resource, number=2, approval=Approval.REQUEST)
        house = Asking(session, paid.resource, paid.method)
        booking = house.approved()
    work(committed_db, stripe, BEFORE)
    with committed_db.begin() as session:
        house = Asking(session, house.resource)
        row = session.get_one(Booking, booking.id)
        house.asks_for(row, timedelta(days=2))
        assert house.refused(row) == 15000
    work(committed_db, stripe, LATE)
    with committed_db.begin() as session:
        assert resale.decide_due(session, now=AFTER) == [booking.id]
    work(committed_db, stripe, AFTER)
    with committed_db() as session:
        [payment] = queries.payments_of(session, booking.id)
        assert (payment.state, payment.captured_minor, payment.transferred_minor) == (PaymentState.CAPTURED, 15000, 13800)
        found = ledger.balances(queries.journal_of_booking(session, booking.id))
        assert ledger.Account.AR not in found
        assert find_credit(session, booking.id) is not None
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, stripe.provider.balance()) == []
