"""The reminder to answer a statement: two days before silence accepts it."""

from datetime import datetime

from sqlalchemy.orm import Session

from billing.reminders import queries
from billing.telling import tell
from booking.queries import get_booking
from marketplace import outbox

KIND = "statement_reminder"


def remind(session: Session, *, now: datetime) -> None:
    """Remind whoever booked; where a policy leaves less than two days to answer, the statement itself was the reminder."""
    for row in queries.statements_to_remind(session, now=now):
        first = outbox.note_reminder(session, subject_id=row.id, event_at=row.due_at, now=now)
        if first and row.created_at <= row.due_at - queries.AHEAD:
            tell(session, get_booking(session, row.booking_id), row, KIND, now)
