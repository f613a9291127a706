"""The word to both sides that nobody has come."""

from datetime import datetime

from sqlalchemy.orm import Session

from booking.presence.queries import check_in_by
from booking.tables import Booking
from devices.absences.queries import CAUSE, KIND, absent
from marketplace import outbox
from marketplace.people import queries as people
from marketplace.roles import Role

FOR_STAFF = "customer_absent"
AT_THE_MACHINE = (Role.MANAGER, Role.TECHNICIAN)
"""Who may free the rest of the time."""


def tell(session: Session, *, now: datetime) -> int:
    """Tell who booked and the house's staff, once for each booking; of how many bookings they were told.

    Nothing is decided by that: what was used, and whether it was a no-show, the meter tells after the end.
    """
    return sum(_tell(session, row, now) for row in absent(session, now=now))


def _tell(session: Session, row: Booking, now: datetime) -> bool:
    by = check_in_by(session, row) or row.ends_at
    times = {"start": row.starts_at.isoformat(), "end": row.ends_at.isoformat(), "by": by.isoformat()}
    data = {"booking_id": row.id, "resource_id": row.resource_id, "version": row.version, **times}
    if not outbox.queue_first(session, person_id=row.person_id, kind=KIND, data=data, cause=f"{row.id}{CAUSE}", now=now):
        return False
    for person_id in people.staff_of(session, row.institution_id, AT_THE_MACHINE):
        if person_id != row.person_id:
            cause = f"{row.id}:{FOR_STAFF}:{person_id}"
            outbox.queue(session, person_id=person_id, kind=FOR_STAFF, data=data, cause=cause, now=now)
    return True
