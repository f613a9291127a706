"""A late cancellation's fee goes back in proportion to the time that others took and were charged for, once, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session, sessionmaker

from billing import actions, cancelling, invariants, ledger, queries
from billing.actions import Receipt
from billing.payments import due, payouts
from billing.quotes import actions as quoting
from billing.resale import actions as resale
from billing.resale.queries import find_credit
from billing.resale.shares import credit, resold_s
from billing.resale.tables import FeeCredit
from billing.tables import CallState, Operation, Statement, StatementState
from booking import actions as booking_actions
from booking.actions import CancelledBy
from booking.admission import Wish
from booking.states import BookingState
from booking.tables import Booking, Category
from marketplace.money import Money
from marketplace.refusals import Invalid, WrongState
from marketplace.slot import Slot
from marketplace.tables import Message, Organisation, Resource, Settlement
from tests.billing.conftest import Stripe, work
from tests.billing.test_card_flow import a_use, journal
from tests.builders import a_person, a_resource, an_institution, an_organisation
from web.running import audit

START = datetime(2026, 3, 10, 1, tzinfo=UTC)
BEFORE = START - timedelta(hours=30)
"""A quarter of 600.00 for two hours is the fee."""
AFTER = START + timedelta(hours=6)


def minutes(start: int, end: int) -> Slot:
    return Slot(START + timedelta(minutes=start), START + timedelta(minutes=end))


@dataclass
class House:
    """A resource and those who book it; by card where the platform collects."""

    session: Session
    resource: Resource
    method: str | None = None

    def booked(self, slot: Slot, firm: Organisation | None = None, quantity: int = 1) -> Booking:
        buyer = firm or an_organisation(self.session)
        wish = Wish(self.resource.id, slot, a_person(self.session).id, buyer.id, Category.EXT, quantity)
        made = booking_actions.book(self.session, wish=wish, now=BEFORE)
        quoting.quote_booking(self.session, booking=made, organisation=buyer, payment_method=self.method, now=BEFORE)
        return made

    def cancelled(self, booking: Booking, now: datetime = BEFORE) -> int:
        who = booking.person_id
        row = booking_actions.cancel(self.session, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id=who, now=now)
        return cancelling.settle_cancellation(self.session, booking=row, free=False, now=now).minor

    def given_up(self, booking: Booking, by: timedelta, now: datetime) -> None:
        to, who = booking.slot.shift(by), booking.person_id
        booking_actions.move(self.session, booking_id=booking.id, slot=to, version=booking.version, actor_id=who, now=now)
        quoting.requote_booking(self.session, booking=booking, given_up=True, now=now)

    def used(
        self, booking: Booking, *, ran: int = 30, accepted: bool = True, state: BookingState = BookingState.COMPLETED
    ) -> None:
        booking.state = state
        pieces = [{"start": booking.starts_at.isoformat(), "end": booking.ends_at.isoformat(), "state": "RUN"}] if ran else []
        a_use(self.session, booking, minutes=ran, booked_s=booking.slot.seconds, pieces=pieces)
        for statement_id in actions.draft_statements(self.session, now=AFTER):
            if accepted:
                actions.accept_statement(self.session, statement_id=statement_id, actor_id=booking.person_id, now=AFTER)

    def decided(self, booking: Booking, now: datetime = AFTER) -> FeeCredit:
        resale.decide_due(self.session, now=now)
        row = find_credit(self.session, booking.id)
        assert row is not None
        return row


@pytest.fixture
def house(db: Session) -> House:
    return House(db, a_resource(db))


def credited(house: House, booking: Booking) -> Sequence[object]:
    row = house.decided(booking)
    return (row.resold_s // 60, row.credit_minor)


@pytest.mark.parametrize(
    ("slots", "share"),
    [
        ([], 0),
        ([(0, 120)], 15000),
        ([(0, 60)], 7500),
        ([(-60, 45), (90, 300)], 9375),
        ([(0, 7)], 875),
        ([(120, 240)], 0),
    ],
)
def test_the_fee_goes_back_for_the_minutes_that_others_had(house: House, slots: list[tuple[int, int]], share: int) -> None:
    booking = house.booked(minutes(0, 120))
    assert house.cancelled(booking) == 15000
    for start, end in slots:
        house.used(house.booked(minutes(start, end)))
    assert house.decided(booking).credit_minor == share
    assert audit(house.session) == []


def test_it_is_given_back_by_a_correcting_statement_and_told_once(house: House) -> None:
    booking = house.booked(minutes(0, 120))
    house.cancelled(booking)
    house.used(house.booked(minutes(30, 120)))
    row = house.decided(booking)
    made = house.session.get_one(Statement, row.correction_id)
    assert (made.charge_minor, made.fee_minor, made.number, made.state) == (-11250, -900, 2, StatementState.ACCEPTED)
    assert [(line["code"], line["amount"]["minor"]) for line in made.lines] == [
        ("cancellation", 15000), ("resold", -11250), ("correction", -15000),
    ]  # fmt: skip
    assert made.lines[1]["minutes"] == 90
    assert journal(house.session, booking.id)["direct_charge"] == {"AR": -11250, "IP": 11250, "IFR": -900, "FEE": 900}
    assert resale.decide_due(house.session, now=AFTER + timedelta(days=40)) == []
    told = house.session.query(Message).where(Message.person_id == booking.person_id, Message.kind == "statement_credited").all()
    assert [message.data["minor"] for message in told] == [11250]


def test_what_is_cancelled_free_of_charge_or_taken_by_the_same_firm_gives_nothing_back(house: House) -> None:
    firm = an_organisation(house.session)
    booking = house.booked(minutes(0, 120), firm)
    house.cancelled(booking)
    house.used(house.booked(minutes(0, 60), firm))
    resold = house.booked(minutes(60, 120))
    house.cancelled(resold)
    assert credited(house, booking) == (0, 0)
    assert credited(house, resold) == (0, 0)


def test_what_is_owed_for_a_time_given_up_before_does_not_come_back_with_another(house: House) -> None:
    booking = house.booked(minutes(0, 120))
    late = START - timedelta(hours=20)
    house.given_up(booking, timedelta(minutes=240), late)
    assert house.cancelled(booking, late) == 30000
    house.used(house.booked(minutes(240, 300)))
    assert credited(house, booking) == (60, 7500)  # half of the quarter that this time costs a day before

    other = house.booked(minutes(600, 720))
    house.given_up(other, timedelta(days=30), late)
    assert house.cancelled(other, late) == 15000
    assert find_credit(house.session, other.id) is None


def test_a_resale_that_is_resold_in_turn_gives_back_both_fees(house: House) -> None:
    first = house.booked(minutes(0, 120))
    house.cancelled(first)
    second = house.booked(minutes(0, 120))
    house.cancelled(second)
    house.used(house.booked(minutes(0, 60)))
    assert credited(house, first) == credited(house, second) == (60, 7500)
    assert audit(house.session) == []


def test_it_is_decided_when_all_who_took_the_time_are_billed_and_not_before(house: House) -> None:
    booking = house.booked(minutes(0, 120))
    house.cancelled(booking)
    one, two = house.booked(minutes(0, 60)), house.booked(minutes(60, 120))
    house.used(one)
    assert house.decided(booking, START + timedelta(minutes=119)).decided_at is None
    assert house.decided(booking).decided_at is None
    house.used(two, accepted=False)
    assert house.decided(booking).decided_at is None
    actions.accept_silent(house.session, now=AFTER + timedelta(hours=72))
    assert house.decided(booking, AFTER + timedelta(hours=72)).credit_minor == 15000


def test_after_thirty_days_what_is_still_not_billed_does_not_count(house: House) -> None:
    booking = house.booked(minutes(0, 120))
    house.cancelled(booking)
    house.used(house.booked(minutes(0, 60)))
    house.booked(minutes(60, 120)).state = BookingState.UNVERIFIABLE
    end = START + timedelta(minutes=120)
    assert house.decided(booking, end + timedelta(days=30, seconds=-1)).decided_at is None
    assert house.decided(booking, end + timedelta(days=30)).credit_minor == 7500


@pytest.mark.parametrize(
    ("state", "ran", "resold"),
    [(BookingState.NO_SHOW, 0, 60), (BookingState.PROVIDER_FAILED, 30, 0), (BookingState.EXPIRED, 30, 0)],
)
def test_who_is_charged_has_taken_the_time(house: House, state: BookingState, ran: int, resold: int) -> None:
    booking = house.booked(minutes(0, 120))
    house.cancelled(booking)
    house.used(house.booked(minutes(0, 60)), ran=ran, state=state)
    assert credited(house, booking)[0] == resold


def test_of_several_units_only_the_cancelled_ones_count(db: Session) -> None:
    house = House(db, a_resource(db, capacity=3))
    kept, booking = house.booked(minutes(0, 120)), house.booked(minutes(0, 120), quantity=2)
    assert house.cancelled(booking) == 30000
    house.used(kept)
    house.used(house.booked(minutes(0, 120)))
    row = house.decided(booking)
    assert (row.whole_s, row.resold_s, row.credit_minor) == (14400, 7200, 15000)
    assert audit(db) == []


def test_a_bank_fee_that_was_not_paid_yet_is_less_to_pay(house: House) -> None:
    booking = house.booked(minutes(0, 120))
    house.cancelled(booking)
    house.used(house.booked(minutes(0, 60)))
    made = house.session.get_one(Statement, house.decided(booking).correction_id)
    with pytest.raises(WrongState):
        resale.mark_returned(house.session, booking_id=booking.id, serial="CMB-7", actor_id="per_2", now=AFTER)
    receipt = Receipt("CMB-1", Money(7500, "CNY"), date(2026, 3, 14))
    actions.mark_received(house.session, statement_id=made.id, receipt=receipt, actor_id="per_2", now=AFTER)
    assert made.state is StatementState.SETTLED
    assert audit(house.session) == []


def test_a_bank_fee_that_was_paid_is_paid_back_by_the_institution(house: House) -> None:
    booking = house.booked(minutes(0, 120))
    house.cancelled(booking)
    fee = queries.statement_of_booking(house.session, booking.id)
    assert fee
    receipt = Receipt("CMB-1", Money(15000, "CNY"), date(2026, 3, 9))
    actions.mark_received(house.session, statement_id=fee.id, receipt=receipt, actor_id="per_2", now=BEFORE)
    house.used(house.booked(minutes(0, 60)))
    made = house.session.get_one(Statement, house.decided(booking).correction_id)
    assert made.state is StatementState.ACCEPTED
    with pytest.raises(Invalid):
        resale.mark_returned(house.session, booking_id=booking.id, serial=" ", actor_id="per_2", now=AFTER)
    row = resale.mark_returned(house.session, booking_id=booking.id, serial=" CMB-7 ", actor_id="per_2", now=AFTER)
    assert (row.returned_minor, row.returned_serial, made.state) == (7500, "CMB-7", StatementState.SETTLED)
    with pytest.raises(WrongState):
        resale.mark_returned(house.session, booking_id=booking.id, serial="CMB-8", actor_id="per_2", now=AFTER)
    assert ledger.balances(queries.journal_of_booking(house.session, booking.id)).get(ledger.Account.AR) is None
    assert audit(house.session) == []


def test_a_wrong_credit_is_found_by_the_audit(house: House) -> None:
    booking = house.booked(minutes(0, 120))
    house.cancelled(booking)
    house.used(house.booked(minutes(0, 60)))
    house.decided(booking).credit_minor = 7600
    house.session.flush()
    broken = invariants.violations(house.session)
    assert sorted(one.split(":")[0] for one in broken) == [
        "a_fee_is_given_back_by_its_share",
        "a_fee_is_given_back_by_one_statement",
    ]


@given(fee=st.integers(0, 10**9), parts=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 200)), max_size=6))
def test_never_more_than_the_fee_and_all_of_it_for_all_of_the_time(fee: int, parts: list[tuple[int, int]]) -> None:
    slot = minutes(0, 120)
    spans = [minutes(start, start + length) for start, length in parts]
    seconds = resold_s(slot, {0: spans})
    back = credit(Money(fee, "CNY"), seconds, slot.seconds).minor
    assert 0 <= back <= fee
    assert abs(Fraction(back) - Fraction(fee * seconds, slot.seconds)) <= Fraction(1, 2)
    assert (back == fee) or seconds < slot.seconds
    assert credit(Money(fee, "CNY"), 0, slot.seconds).minor == 0


def a_card_house(session: Session) -> House:
    institution = an_institution(session, settlement=Settlement.PLATFORM_COLLECTS)
    house = House(session, a_resource(session, institution=institution), "pm_card_visa")
    payouts.set_payout_account(session, institution_id=institution.id, account_id="acct_test", actor_id=None, now=BEFORE)
    return house


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize(("end", "back", "out"), [(120, 15000, 0), (90, 11250, 3450), (0, 0, 13800)])
def test_a_card_is_refunded_and_the_institution_gets_what_is_left(
    committed_db: sessionmaker[Session], stripe: Stripe, end: int, back: int, out: int, slow: bool
) -> None:
    """Also where the provider takes the fee only after it was decided what goes back."""
    with committed_db.begin() as session:
        house = a_card_house(session)
        booking = house.booked(minutes(0, 120))
    work(committed_db, stripe, BEFORE)
    with committed_db.begin() as session:
        house = House(session, session.get_one(Resource, house.resource.id))
        house.cancelled(session.get_one(Booking, booking.id))
        if end:
            house.used(house.booked(minutes(0, end)))
    if not slow:
        work(committed_db, stripe, BEFORE)
    with committed_db.begin() as session:
        assert queries.asked_to_transfer(session, booking.id) == 0
        assert resale.decide_due(session, now=AFTER) == [booking.id]
    with committed_db.begin() as session:
        assert resale.decide_due(session, now=AFTER) == []
    work(committed_db, stripe, AFTER)
    with committed_db() as session:
        [payment] = queries.payments_of(session, booking.id)
        assert (payment.captured_minor, payment.refunded_minor, payment.transferred_minor) == (15000, back, out)
        made = queries.statement_of_booking(session, booking.id)
        assert made is not None
        assert made.state is StatementState.SETTLED
        found = {account.value: v for account, v in ledger.balances(queries.journal_of_booking(session, booking.id)).items()}
        assert "AR" not in found
        assert "RIT" not in found
        assert "IP" not in found
        assert {call.state for call in queries.calls_of(session, booking.id)} == {CallState.DONE}
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, stripe.provider.balance()) == []


def test_two_refunds_of_one_payment_are_both_posted_and_each_is_sent_once(
    committed_db: sessionmaker[Session], stripe: Stripe
) -> None:
    """A hold that was captured as a prepayment gives back what is over the fee first, and the credit later."""
    with committed_db.begin() as session:
        house = a_card_house(session)
        booking = house.booked(minutes(0, 120))
    work(committed_db, stripe, BEFORE)
    with committed_db.begin() as session:
        [payment] = queries.payments_of(session, booking.id)
        payment.capture_before = BEFORE
        session.flush()
        assert due.guard_holds(session, now=BEFORE) == 1
    work(committed_db, stripe, BEFORE)
    with committed_db.begin() as session:
        house = House(session, session.get_one(Resource, house.resource.id))
        house.cancelled(session.get_one(Booking, booking.id))
        house.used(house.booked(minutes(0, 60)))
    work(committed_db, stripe, BEFORE)
    with committed_db.begin() as session:
        assert resale.decide_due(session, now=AFTER) == [booking.id]
    work(committed_db, stripe, AFTER)
    with committed_db() as session:
        [payment] = queries.payments_of(session, booking.id)
        assert (payment.captured_minor, payment.refunded_minor, payment.transferred_minor) == (60000, 52500, 6900)
        refunds = [one.parameters["total"] for one in queries.calls_of(session, booking.id) if one.operation is Operation.REFUND]
        assert refunds == [45000, 52500]
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, stripe.provider.balance()) == []
    assert stripe.count("refund") == 2
