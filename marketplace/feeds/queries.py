"""Reads of the secret addresses of calendars."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from marketplace.feeds.tables import CalendarFeed
from marketplace.people.secrets import digest
from marketplace.refusals import NotFound
from marketplace.tables import Person


def get_feed(session: Session, secret: str) -> CalendarFeed:
    """Raises: NotFound (also for a secret that was renewed and for a disabled account's)."""
    row = session.get(CalendarFeed, digest(secret))
    if row is None or (row.person_id and session.get_one(Person, row.person_id).disabled_at):
        raise NotFound(kind="calendar")
    return row


def find_feed_of_person(session: Session, person_id: str) -> CalendarFeed | None:
    return session.scalars(select(CalendarFeed).where(CalendarFeed.person_id == person_id)).one_or_none()


def find_feed_of_resource(session: Session, resource_id: str) -> CalendarFeed | None:
    return session.scalars(select(CalendarFeed).where(CalendarFeed.resource_id == resource_id)).one_or_none()
