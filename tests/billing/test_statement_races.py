"""The customer answers at the moment in which a timer accepts or drafts again."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session, sessionmaker

from billing import actions, invariants, queries
from billing.objections import actions as objections
from billing.tables import Statement, StatementState
from booking.tables import Booking
from tests.billing.test_card_flow import AFTER, a_use, journal
from tests.billing.test_direct_flow import a_quoted_booking, drafted


@pytest.fixture
def statement(committed_db: sessionmaker[Session]) -> Statement:
    with committed_db.begin() as session:
        booking = a_quoted_booking(session)
        a_use(session, booking)
        return drafted(session, booking)


def beside(sessions: sessionmaker[Session], first: Callable[[Session], object], second: Callable[[Session], object]) -> None:
    """`second` begins after `first` has written and before it commits."""
    written = threading.Event()

    def other() -> None:
        written.wait()
        with sessions.begin() as session:
            second(session)

    thread = threading.Thread(target=other)
    thread.start()
    with sessions.begin() as session:
        first(session)
        written.set()
        time.sleep(0.5)
    thread.join()


def test_silence_does_not_accept_what_is_being_disputed(committed_db: sessionmaker[Session], statement: Statement) -> None:
    just = statement.due_at.replace(microsecond=0)

    def dispute(session: Session) -> None:
        objections.dispute_statement(session, statement_id=statement.id, reason="停机", actor_id="per_1", now=AFTER)

    beside(committed_db, dispute, lambda session: actions.accept_silent(session, now=just))
    with committed_db() as session:
        assert queries.get_statement(session, statement.id).state is StatementState.DISPUTED
        assert journal(session, statement.booking_id) == {}


def test_a_new_draft_does_not_replace_what_is_being_accepted(committed_db: sessionmaker[Session], statement: Statement) -> None:
    with committed_db.begin() as session:
        a_use(session, session.get_one(Booking, statement.booking_id), number=2, minutes=112)

    def accept(session: Session) -> None:
        actions.accept_statement(session, statement_id=statement.id, actor_id="per_1", now=AFTER)

    beside(committed_db, accept, lambda session: actions.draft_statements(session, now=AFTER))
    with committed_db.begin() as session:
        actions.draft_statements(session, now=AFTER)  # what was accepted meanwhile is left to the run after
    with committed_db() as session:
        rows = queries.statements_of_booking(session, statement.booking_id)
        assert [(row.state, row.charge_minor) for row in rows] == [(StatementState.ACCEPTED, 52500), (StatementState.OPEN, 7500)]
        assert invariants.violations(session) == []
