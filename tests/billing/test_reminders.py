"""The reminder to answer a statement: two days before silence accepts it, once, and only while it waits."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import actions
from billing.objections import actions as objections
from billing.reminders.actions import remind
from billing.tables import Statement
from marketplace.tables import Message
from tests.billing.test_card_flow import a_use
from tests.billing.test_direct_flow import AFTER, a_quoted_booking, drafted

MINUTE, TWO_DAYS = timedelta(minutes=1), timedelta(days=2)


def a_statement(db: Session) -> Statement:
    booking = a_quoted_booking(db)
    a_use(db, booking)
    return drafted(db, booking)


def reminders(db: Session) -> list[str]:
    return [row.data["statement_id"] for row in db.scalars(select(Message).where(Message.kind == "statement_reminder"))]


def test_a_statement_nobody_answered_is_reminded_of_two_days_before_silence_accepts(db: Session) -> None:
    statement = a_statement(db)
    remind(db, now=statement.due_at - TWO_DAYS - MINUTE)
    assert reminders(db) == []
    for minute in range(3):
        remind(db, now=statement.due_at - TWO_DAYS + minute * MINUTE)
    assert reminders(db) == [statement.id]


def test_an_answered_statement_is_not_reminded_of(db: Session) -> None:
    accepted, disputed = a_statement(db), a_statement(db)
    actions.accept_statement(db, statement_id=accepted.id, actor_id="per_1", now=AFTER)
    objections.dispute_statement(db, statement_id=disputed.id, reason="早退", actor_id="per_1", now=AFTER)
    remind(db, now=accepted.due_at - MINUTE)
    assert reminders(db) == []


def test_where_less_than_two_days_are_left_the_statement_itself_was_the_reminder(db: Session) -> None:
    statement = a_statement(db)
    statement.due_at = statement.created_at + TWO_DAYS - MINUTE
    db.flush()
    remind(db, now=AFTER + MINUTE)
    assert reminders(db) == []
