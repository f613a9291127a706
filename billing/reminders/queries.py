"""Reads of statements that silence is about to accept."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from billing.tables import Statement, StatementState
from marketplace.inbox.tables import Reminder

AHEAD = timedelta(days=2)
AT_ONCE = 200
"""Statements one run looks at."""


def statements_to_remind(session: Session, *, now: datetime) -> Sequence[Statement]:
    """Open statements that silence accepts within two days and that nobody has looked at, soonest first, locked."""
    noted = exists().where(Reminder.subject_id == Statement.id, Reminder.event_at == Statement.due_at)
    soon = select(Statement).where(
        Statement.state == StatementState.OPEN, Statement.due_at > now, Statement.due_at <= now + AHEAD, ~noted
    )
    return session.scalars(soon.order_by(Statement.due_at).limit(AT_ONCE).with_for_update(skip_locked=True)).all()
