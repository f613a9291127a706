"""Who is told of trouble with an external calendar: the managers of its institution, once for each trouble."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from booking.external import queries
from booking.external.queries import Conflict
from booking.external.tables import ExternalCalendar
from marketplace import outbox
from marketplace.people import queries as people
from marketplace.roles import Role

FAILURES = 3
"""So many readings in a row that went wrong are told; one or two mend themselves."""


def failing(session: Session, row: ExternalCalendar, now: datetime) -> None:
    """It could not be read again; told at the third time, and then not before it was readable in between."""
    if row.failures != FAILURES:
        return
    since = row.read_at or row.created_at
    data = {"error": row.error, "status": row.error_status, "since": since.isoformat()}
    _tell(session, row, "calendar_failing", data, f"failing:{since.isoformat()}", now)


def conflicts(session: Session, row: ExternalCalendar, known: Collection[str], now: datetime) -> None:
    """It calls the time of bookings busy that were not in its way before (`known`, by id)."""
    new = [one for one in _of(session, row, now) if one.booking.id not in known]
    if not new:
        return
    first = new[0]
    data = {
        "start": first.booking.starts_at.isoformat(),
        "end": first.booking.ends_at.isoformat(),
        "count": len({one.booking.id for one in new}),
    }
    _tell(session, row, "calendar_conflicts", data, f"conflicts:{first.booking.id}:{first.booking.version}", now)


def in_its_way(session: Session, row: ExternalCalendar, now: datetime) -> set[str]:
    """Ids of the bookings whose time it calls busy."""
    return {one.booking.id for one in _of(session, row, now)}


def _of(session: Session, row: ExternalCalendar, now: datetime) -> list[Conflict]:
    return [one for one in queries.conflicts_of(session, row.resource_id, after=now) if one.calendar_id == row.id]


def _tell(session: Session, row: ExternalCalendar, kind: str, data: dict[str, Any], cause: str, now: datetime) -> None:
    about = {"calendar_id": row.id, "resource_id": row.resource_id, "name": row.name, **data}
    for manager in people.staff_of(session, row.institution_id, [Role.MANAGER]):
        outbox.queue(session, person_id=manager, kind=kind, data=about, cause=f"{row.id}:{cause}:{manager}", now=now)
