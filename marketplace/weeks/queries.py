"""Reads of how a person's calendars begin their weeks."""

from sqlalchemy.orm import Session

from marketplace.weeks.tables import FirstDay, ReadersWeek


def find_first_day(session: Session, person_id: str) -> FirstDay | None:
    """None where the person has not chosen."""
    row = session.get(ReadersWeek, person_id)
    return row.first_day if row else None
