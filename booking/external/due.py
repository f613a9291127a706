"""When calendars kept elsewhere are read again."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from booking.external.tables import ExternalCalendar


def read_anew(session: Session, resource_id: str, *, now: datetime) -> None:
    """At once, for instance as its resource may be booked further ahead than they were read."""
    session.execute(update(ExternalCalendar).where(ExternalCalendar.resource_id == resource_id).values(run_at=now))
