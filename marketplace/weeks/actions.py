"""Writes of how a person's calendars begin their weeks."""

from sqlalchemy import delete
from sqlalchemy.orm import Session

from marketplace.weeks.tables import FirstDay, ReadersWeek


def choose_first_day(session: Session, *, person_id: str, first_day: FirstDay | None) -> None:
    """None gives the choice up again."""
    if first_day is None:
        session.execute(delete(ReadersWeek).where(ReadersWeek.person_id == person_id))
    else:
        session.merge(ReadersWeek(person_id=person_id, first_day=first_day))
    session.flush()
