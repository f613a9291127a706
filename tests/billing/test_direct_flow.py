"""Statements, disputes and bank receipts where the firm pays the institution itself."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from billing import actions, cancelling, invariants, ledger, queries, settlement
from billing.actions import Receipt, ReceivedBefore
from billing.ledger import Account
from billing.objections import actions as objections
from billing.quotes import actions as quoting
from billing.tables import JournalEntry, JournalLeg, Statement, StatementState
from billing.tariffs.choosing import PriceList
from booking.states import BookingState
from booking.tables import Booking
from devices.matching import Verdict
from marketplace.money import Money
from marketplace.refusals import Invalid, WrongState
from marketplace.tables import Organisation, Resource
from tests.billing.test_card_flow import a_use, journal
from tests.builders import a_booking, a_resource, an_organisation

START = datetime(2026, 3, 10, 1, tzinfo=UTC)
AFTER = START + timedelta(hours=3)


def yuan(minor: int) -> Money:
    return Money(minor, "CNY")


def a_quoted_booking(db: Session) -> Booking:
    booking = a_booking(db, start=START)
    firm = db.get_one(Organisation, booking.organisation_id)
    quoting.quote_booking(db, booking=booking, organisation=firm, payment_method=None, now=START - timedelta(days=3))
    return booking


def drafted(db: Session, booking: Booking) -> Statement:
    [statement_id] = actions.draft_statements(db, now=AFTER)
    statement = queries.get_statement(db, statement_id)
    assert statement.booking_id == booking.id
    return statement


def a_receipt(minor: int, serial: str = "CMB-1") -> Receipt:
    return Receipt(serial, yuan(minor), date(2026, 3, 14))


def test_a_statement_shows_booked_logged_confirmed_and_billed(db: Session) -> None:
    booking = a_quoted_booking(db)
    use = a_use(db, booking, early_s=120)
    statement = drafted(db, booking)
    assert (statement.booked_s, statement.logged_s, statement.confirmed_s, statement.billed_s) == (7200, 5940, 5820, 6300)
    assert (statement.charge_minor, statement.fee_minor, statement.use_id) == (52500, 4200, use.id)
    assert statement.lines == [{"code": "usage", "minutes": 105, "amount": {"minor": 52500, "currency": "CNY"}}]
    assert statement.due_at == AFTER + timedelta(hours=72)
    assert actions.draft_statements(db, now=AFTER) == []


def test_an_accepted_statement_is_settled_when_all_of_it_was_received(db: Session) -> None:
    booking = a_quoted_booking(db)
    a_use(db, booking)
    statement = drafted(db, booking)
    actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=AFTER)
    assert journal(db, booking.id) == {"direct_charge": {"AR": 52500, "IP": -52500, "IFR": 4200, "FEE": -4200}}
    actions.mark_received(db, statement_id=statement.id, receipt=a_receipt(50000), actor_id="per_2", now=AFTER)
    assert statement.state is StatementState.ACCEPTED
    actions.mark_received(db, statement_id=statement.id, receipt=a_receipt(2500, "CMB-2"), actor_id="per_2", now=AFTER)
    assert statement.state is StatementState.SETTLED
    assert invariants.violations(db) == []


def test_a_bank_serial_counts_once(db: Session) -> None:
    booking = a_quoted_booking(db)
    a_use(db, booking)
    statement = drafted(db, booking)
    actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=AFTER)
    actions.mark_received(db, statement_id=statement.id, receipt=a_receipt(1000), actor_id="per_2", now=AFTER)
    with pytest.raises(ReceivedBefore):
        actions.mark_received(db, statement_id=statement.id, receipt=a_receipt(1000), actor_id="per_2", now=AFTER)
    with pytest.raises(Invalid):
        actions.mark_received(db, statement_id=statement.id, receipt=a_receipt(51501, "CMB-9"), actor_id="per_2", now=AFTER)


def test_silence_accepts_after_seventy_two_hours(db: Session) -> None:
    booking = a_quoted_booking(db)
    a_use(db, booking)
    statement = drafted(db, booking)
    assert actions.accept_silent(db, now=AFTER + timedelta(hours=72, seconds=-1)) == []
    assert actions.accept_silent(db, now=AFTER + timedelta(hours=72)) == [statement.id]
    assert (statement.state, statement.accepted_by) == (StatementState.ACCEPTED, None)


def test_a_disputed_statement_waits_for_the_institution(db: Session) -> None:
    booking = a_quoted_booking(db)
    a_use(db, booking)
    statement = drafted(db, booking)
    with pytest.raises(Invalid):
        objections.dispute_statement(db, statement_id=statement.id, reason=" ", actor_id="per_1", now=AFTER)
    objections.dispute_statement(db, statement_id=statement.id, reason="设备报警停机", actor_id="per_1", now=AFTER)
    assert actions.accept_silent(db, now=AFTER + timedelta(days=9)) == []
    resolved = objections.resolve_dispute(db, statement_id=statement.id, charge=yuan(40000), actor_id="per_2", now=AFTER)
    assert (resolved.number, resolved.charge_minor, resolved.fee_minor) == (2, 40000, 3200)
    assert resolved.lines[-1] == {"code": "correction", "amount": {"minor": -12500, "currency": "CNY"}}
    assert statement.state is StatementState.SUPERSEDED
    with pytest.raises(WrongState):
        actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=AFTER)
    actions.accept_statement(db, statement_id=resolved.id, actor_id="per_1", now=AFTER)
    assert journal(db, booking.id)["direct_charge"]["AR"] == 40000


def test_a_late_word_on_the_use_replaces_an_unanswered_statement(db: Session) -> None:
    booking = a_quoted_booking(db)
    first = a_use(db, booking)
    old = drafted(db, booking)
    a_use(db, booking, minutes=120, number=2, supersedes_id=first.id)
    new = drafted(db, booking)
    assert (old.state, new.number, new.charge_minor) == (StatementState.SUPERSEDED, 2, 60000)


def test_a_late_word_on_the_use_corrects_an_accepted_statement(db: Session) -> None:
    booking = a_quoted_booking(db)
    first = a_use(db, booking)
    old = drafted(db, booking)
    actions.accept_statement(db, statement_id=old.id, actor_id="per_1", now=AFTER)
    a_use(db, booking, minutes=120, number=2, supersedes_id=first.id)
    new = drafted(db, booking)
    assert (new.number, new.charge_minor, new.fee_minor) == (2, 7500, 600)
    assert new.lines[-1] == {"code": "correction", "amount": {"minor": -52500, "currency": "CNY"}}
    actions.accept_statement(db, statement_id=new.id, actor_id="per_1", now=AFTER)
    assert sum(dict(entry.legs)[Account.AR] for entry in queries.journal_of_booking(db, booking.id)) == 60000
    actions.mark_received(db, statement_id=new.id, receipt=a_receipt(60000), actor_id="per_2", now=AFTER)
    assert (old.state, new.state) == (StatementState.SETTLED, StatementState.SETTLED)
    assert invariants.violations(db) == []


def test_an_unverifiable_use_costs_nothing(db: Session) -> None:
    booking = a_quoted_booking(db)
    a_use(db, booking, minutes=0, verdict=Verdict.UNVERIFIABLE)
    statement = drafted(db, booking)
    assert (statement.charge_minor, statement.lines) == (0, [])
    actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=AFTER)
    assert statement.state is StatementState.SETTLED
    assert queries.journal_of_booking(db, booking.id) == []


def test_a_no_show_costs_half(db: Session) -> None:
    booking = a_quoted_booking(db)
    a_use(db, booking, minutes=0)
    assert drafted(db, booking).charge_minor == 30000


def test_the_bill_follows_the_policy_and_price_of_the_booking(db: Session) -> None:
    booking = a_quoted_booking(db)
    actions.set_policy(db, resource_id=booking.resource_id, policy={"no_show_rate": "1"}, actor_id="per_1", now=AFTER)
    assert queries.policy_of(db, booking.resource_id).no_show_rate == 1
    a_use(db, booking, minutes=0)
    assert drafted(db, booking).charge_minor == 30000


def test_a_moved_booking_is_priced_again_under_its_own_policy(db: Session) -> None:
    booking = a_quoted_booking(db)
    booking.ends_at = booking.ends_at + timedelta(hours=1)
    db.flush()
    assert quoting.requote_booking(db, booking=booking, now=AFTER) == yuan(90000)
    first, latest = queries.quote_of_booking(db, booking.id), queries.find_quote(db, booking.id)
    assert latest is not None
    assert (first.number, latest.quote_minor) == (2, 90000)


def moved(db: Session, booking: Booking, days: int, *, given_up: bool, now: datetime) -> None:
    booking.slot = booking.slot.shift(timedelta(days=days))
    db.flush()
    quoting.requote_booking(db, booking=booking, given_up=given_up, now=now)


@pytest.mark.parametrize(
    ("hours", "given_up", "owed"), [(72, True, 0), (48, True, 0), (30, True, 15000), (3, True, 30000), (3, False, 0)]
)
def test_who_gives_up_a_time_late_does_not_cancel_the_next_one_for_less(
    db: Session, hours: int, given_up: bool, owed: int
) -> None:
    booking = a_quoted_booking(db)
    booking.decided_at = START - timedelta(days=9)
    at = START - timedelta(hours=hours)
    assert cancelling.fee_if_cancelled(db, booking=booking, now=at) == yuan(owed if given_up else 30000)
    moved(db, booking, 30, given_up=given_up, now=at)
    assert cancelling.fee_if_cancelled(db, booking=booking, now=at) == yuan(owed)
    assert (queries.free_until(db, booking) is None) == bool(owed)
    moved(db, booking, 1, given_up=True, now=at)
    assert cancelling.fee_if_cancelled(db, booking=booking, now=at) == yuan(owed)
    close = booking.starts_at - timedelta(hours=1)
    assert cancelling.fee_if_cancelled(db, booking=booking, now=close) == yuan(30000)


def test_what_a_late_move_keeps_is_charged_once_and_only_for_cancelling(db: Session) -> None:
    booking = a_quoted_booking(db)
    booking.decided_at, at = START - timedelta(days=9), START - timedelta(hours=3)
    moved(db, booking, 30, given_up=True, now=at)
    ran = {"start": booking.starts_at.isoformat(), "end": booking.ends_at.isoformat(), "state": "RUN"}
    a_use(db, booking, minutes=120, pieces=[ran])
    [statement_id] = actions.draft_statements(db, now=booking.ends_at + timedelta(hours=3))
    assert queries.get_statement(db, statement_id).charge_minor == 60000

    other = a_quoted_booking(db)
    other.decided_at = START - timedelta(days=9)
    moved(db, other, 30, given_up=True, now=at)
    other.state = BookingState.CANCELLED
    assert cancelling.settle_cancellation(db, booking=other, free=False, now=at) == yuan(30000)
    bill = queries.statement_of_booking(db, other.id)
    assert bill is not None
    assert bill.charge_minor == 30000


def test_who_shrinks_it_late_and_does_not_come_pays_what_cancelling_would_have_cost(db: Session) -> None:
    booking, at = a_quoted_booking(db), START - timedelta(hours=3)
    booking.decided_at = START - timedelta(days=9)
    booking.ends_at = booking.starts_at + timedelta(minutes=1)
    db.flush()
    assert quoting.requote_booking(db, booking=booking, given_up=True, now=at) == yuan(500)
    a_use(db, booking, minutes=0)
    bill = drafted(db, booking)
    assert bill.charge_minor == 30000
    assert [(line["code"], line["amount"]["minor"]) for line in bill.lines] == [("no_show", 250), ("cancellation", 29750)]


def test_ones_own_house_pays_nothing(db: Session) -> None:
    booking = a_booking(db, start=START)
    assert quoting.quote_booking(db, booking=booking, organisation=None, payment_method=None, now=START) == yuan(0)


def test_a_held_booking_is_cancelled_free(db: Session) -> None:
    booking = a_quoted_booking(db)
    booking.state, booking.decided_at = BookingState.REQUESTED, None
    assert cancelling.fee_if_cancelled(db, booking=booking, now=START) == yuan(0)


def test_the_price_of_a_slot_is_known_before_booking(db: Session) -> None:
    resource = a_resource(db)
    booking = a_booking(db, resource=resource, organisation=an_organisation(db), start=START)
    assert quoting.quote_slot(prices=PriceList(resource.price), slot=booking.slot) == yuan(60000)


@pytest.mark.parametrize("table", [JournalEntry, JournalLeg])
@pytest.mark.parametrize("verb", ["update", "delete"])
def test_journal_rows_never_change(db: Session, table: type[JournalEntry], verb: str) -> None:
    booking = a_quoted_booking(db)
    a_use(db, booking)
    actions.accept_statement(db, statement_id=drafted(db, booking).id, actor_id="per_1", now=AFTER)
    column = next(c for c in table.__table__.columns if c.name in {"currency", "amount_minor"})
    change = delete(table) if verb == "delete" else update(table).values({column.name: column})
    with pytest.raises(DBAPIError, match="never change"), db.begin_nested():
        db.execute(change)


def test_unused_time_that_others_booked_is_free_where_the_policy_says_so(db: Session) -> None:
    booking = a_quoted_booking(db)
    a_booking(db, resource=db.get_one(Resource, booking.resource_id), start=START + timedelta(hours=1), hours=1)
    terms = {"unused_rate": "1", "unused_free_if_rebooked": True}
    actions.set_policy(db, resource_id=booking.resource_id, policy=terms, actor_id="per_1", now=AFTER)
    other = a_booking(db, resource=db.get_one(Resource, booking.resource_id), start=START)
    firm = db.get_one(Organisation, other.organisation_id)
    quoting.quote_booking(db, booking=other, organisation=firm, payment_method=None, now=AFTER)
    booking.state = BookingState.CANCELLED
    db.flush()
    a_use(db, other, minutes=30)
    assert drafted(db, other).charge_minor == 15000 + 15000


def test_an_amount_too_small_for_a_card_needs_no_hold(db: Session) -> None:
    booking = a_booking(db, resource=a_resource(db, price_minor=100), start=START, state=BookingState.HELD)
    firm = db.get_one(Organisation, booking.organisation_id)
    quoting.quote_booking(db, booking=booking, organisation=firm, payment_method="pm_card_visa", now=START)
    assert queries.payments_of(db, booking.id) == []
    assert queries.holds_secured(db) == [booking.id]


@pytest.mark.parametrize(("first", "then"), [(1, 2), (1, 6), (119, 100), (119, 118)])
def test_a_correction_leaves_the_fee_of_the_whole_charge(db: Session, first: int, then: int) -> None:
    """8 % of each part, rounded apart, may differ from 8 % of their sum by a fen."""
    booking = a_booking(db, resource=a_resource(db, price_minor=333), start=START)
    actions.set_policy(
        db, resource_id=booking.resource_id, policy={"increment_min": 1, "minimum_min": 0}, actor_id="p", now=START
    )
    firm = db.get_one(Organisation, booking.organisation_id)
    quoting.quote_booking(db, booking=booking, organisation=firm, payment_method=None, now=START)
    for number, minutes in enumerate((first, then), 1):
        a_use(db, booking, minutes=minutes, number=number)
        if (made := drafted(db, booking)).state is StatementState.OPEN:
            actions.accept_statement(db, statement_id=made.id, actor_id="per_1", now=AFTER)
    charge, fee = queries.accepted_sums(db, booking.id)
    assert charge == round(333 * then / 60)
    assert fee == settlement.platform_fee(yuan(charge), Fraction(2, 25)).minor
    assert invariants.violations(db) == []


def test_a_correction_downwards_takes_back_what_the_institution_was_sure_of() -> None:
    """Nothing of it was conditional, where no programme pays."""
    assert dict(ledger.usage_charge(yuan(-7500), yuan(-600)).legs) == {Account.AR: -7500, Account.IP: 6900, Account.FEE: 600}


def test_a_firm_takes_its_objection_back_by_accepting(db: Session) -> None:
    booking = a_quoted_booking(db)
    a_use(db, booking)
    statement = drafted(db, booking)
    objections.dispute_statement(db, statement_id=statement.id, reason="设备停机", actor_id="per_1", now=AFTER)
    actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=AFTER)
    assert statement.state is StatementState.ACCEPTED
    assert invariants.violations(db) == []
