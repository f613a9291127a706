"""Writes of the secret addresses of calendars: one a person and one a resource; a new one ends the one before."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from marketplace import audit
from marketplace.feeds.tables import CalendarFeed
from marketplace.people.secrets import digest, new_secret
from marketplace.tables import Resource


def renew_for_person(session: Session, *, person_id: str, now: datetime) -> str:
    """The secret of a person's own calendar, told this once; only its hash is kept."""
    session.execute(delete(CalendarFeed).where(CalendarFeed.person_id == person_id))
    secret = new_secret()
    session.add(CalendarFeed(secret_hash=digest(secret), person_id=person_id, created_at=now))
    session.flush()
    return secret


def renew_for_resource(session: Session, *, resource: Resource, actor_id: str, now: datetime) -> str:
    """The secret of a resource's calendar, told this once; who made it is recorded."""
    session.execute(delete(CalendarFeed).where(CalendarFeed.resource_id == resource.id))
    secret = new_secret()
    session.add(CalendarFeed(secret_hash=digest(secret), resource_id=resource.id, created_at=now))
    audit.record(
        session,
        actor_id=actor_id,
        action="renew_calendar",
        object_kind="resource",
        object_id=resource.id,
        institution_id=resource.institution_id,
        before=None,
        after=None,
        now=now,
    )
    session.flush()
    return secret
