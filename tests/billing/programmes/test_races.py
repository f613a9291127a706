"""Several orders, answers and workers at once have no more of an entitlement than was granted, and do not stop each other."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy.orm import Session, sessionmaker

from billing import actions, cancelling, invariants, queries
from billing.programmes.tables import Entitlement
from billing.quotes import actions as quoting
from billing.tables import Statement
from booking.tables import Booking
from marketplace.refusals import WrongState
from marketplace.tables import Organisation
from tests.billing.programmes.test_claims import claimed, reject, used
from tests.billing.test_card_flow import AFTER, BEFORE, START, a_use
from tests.billing.test_statement_races import beside
from tests.builders import a_booking, a_programme, an_entitlement, an_organisation

MANY = 6


def granted(sessions: sessionmaker[Session], amount: int) -> tuple[str, str, list[str]]:
    """A firm with bookings that are not quoted yet, and what it was granted."""
    with sessions.begin() as session:
        firm = an_organisation(session)
        row = an_entitlement(session, a_programme(session, years=["0.5"]), firm, amount)
        bookings = [a_booking(session, organisation=firm, start=START + timedelta(hours=3 * n)).id for n in range(MANY)]
        return firm.id, row.id, bookings


def quote(sessions: sessionmaker[Session], firm_id: str, booking_id: str) -> None:
    with sessions.begin() as session:
        booking, firm = session.get_one(Booking, booking_id), session.get_one(Organisation, firm_id)
        quoting.quote_booking(session, booking=booking, organisation=firm, payment_method=None, now=BEFORE)


def test_orders_at_once_reserve_no_more_than_was_granted(committed_db: sessionmaker[Session]) -> None:
    firm_id, entitlement_id, bookings = granted(committed_db, 70000)
    with ThreadPoolExecutor(MANY) as threads:
        list(threads.map(lambda booking_id: quote(committed_db, firm_id, booking_id), bookings))
    with committed_db() as session:
        assert session.get_one(Entitlement, entitlement_id).reserved_minor == 70000
        assert invariants.violations(session) == []


def test_bills_are_accepted_and_others_cancelled_at_once(committed_db: sessionmaker[Session]) -> None:
    firm_id, entitlement_id, bookings = granted(committed_db, 1_000_000)
    for booking_id in bookings:
        quote(committed_db, firm_id, booking_id)
    with committed_db.begin() as session:
        for booking_id in bookings[::2]:
            a_use(session, session.get_one(Booking, booking_id))
        actions.draft_statements(session, now=AFTER)

    def end(booking_id: str) -> None:
        with committed_db.begin() as session:
            if statement := queries.statement_of_booking(session, booking_id):
                actions.accept_statement(session, statement_id=statement.id, actor_id="per_1", now=AFTER)
            else:
                cancelling.settle_cancellation(session, booking=session.get_one(Booking, booking_id), free=True, now=BEFORE)

    with ThreadPoolExecutor(MANY) as threads:
        list(threads.map(end, bookings))
    with committed_db() as session:
        row = session.get_one(Entitlement, entitlement_id)
        assert (row.reserved_minor, row.used_minor) == (0, sum(b.programme_minor for b in _bills(session, bookings)))
        assert row.used_minor > 0
        assert invariants.violations(session) == []


def test_a_bill_that_is_drafted_at_that_moment_comes_before_a_rejection(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        booking, row = used(session, minutes=60)
        claim_id = claimed(session, row.programme_id)
        a_use(session, booking, minutes=120, number=2)
    refused = []

    def rejected(session: Session) -> None:
        try:
            reject(session, row.programme_id, claim_id)
        except WrongState as refusal:
            refused.append(refusal.values["state"])

    beside(committed_db, lambda session: actions.draft_statements(session, now=AFTER), rejected)
    assert refused == ["bill_open"]
    with committed_db() as session:
        assert invariants.violations(session) == []


def _bills(session: Session, booking_ids: list[str]) -> Iterable[Statement]:
    return queries.statements_of_bookings(session, booking_ids).values()
