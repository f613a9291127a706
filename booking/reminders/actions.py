"""The reminder of a booking: a day ahead, once for each start it is given."""

from datetime import datetime

from sqlalchemy.orm import Session

from booking.reminders import queries
from booking.tables import Booking
from marketplace import audit, outbox

KIND = "booking_reminder"


def remind(session: Session, *, now: datetime) -> None:
    """Remind whoever booked; those who booked, moved or were approved less than a day ahead have just heard of it."""
    due = queries.bookings_to_remind(session, now=now)
    changed = audit.last_changes(session, "booking", [row.id for row in due])
    for row in due:
        first = outbox.note_reminder(session, subject_id=row.id, event_at=row.starts_at, now=now)
        if first and changed.get(row.id, row.submitted_at) <= row.starts_at - queries.AHEAD:
            _remind(session, row, now)


def _remind(session: Session, row: Booking, now: datetime) -> None:
    start = row.starts_at.isoformat()
    times = {"start": start, "end": row.ends_at.isoformat(), "version": row.version}
    data = {"booking_id": row.id, "resource_id": row.resource_id, **times}
    outbox.queue(session, person_id=row.person_id, kind=KIND, data=data, cause=f"{row.id}:{KIND}:{start}", now=now)
