"""Writes of a person's inbox: what is read, how they want to be told, and the daily letter of what waited."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from marketplace import outbox
from marketplace.inbox import queries
from marketplace.inbox.tables import MessageChoice, ReadersZone
from marketplace.people.actions import check_zone
from marketplace.tables import Message
from marketplace.topics import DIGEST, Delivery, Topic, next_digest

MOST_LISTED = 50
"""Messages a daily letter lists; how many more there are it says in a line."""


def mark_read(session: Session, *, person_id: str, message_id: str, now: datetime) -> Message:
    """Raises: NotFound."""
    row = queries.get_message_of(session, person_id, message_id)
    row.read_at = row.read_at or now
    session.flush()
    return row


def mark_all_read(session: Session, *, person_id: str, now: datetime) -> None:
    """Everything that has come until `now`."""
    mine = update(Message).where(Message.person_id == person_id, Message.read_at.is_(None), Message.created_at <= now)
    session.execute(mine.values(read_at=now))


def choose(session: Session, *, person_id: str, choices: Mapping[Topic, Delivery], timezone: str) -> None:
    """How a person is told from now on; what waits already comes as it was to come. Raises: Invalid (no such zone)."""
    check_zone(timezone)
    known = queries.choices_of(session, person_id)
    for topic, delivery in choices.items():
        if delivery is not known[topic]:
            session.merge(MessageChoice(person_id=person_id, topic=topic, delivery=delivery))
    if timezone != queries.zone_of(session, person_id).key:
        session.merge(ReadersZone(person_id=person_id, timezone=timezone))
    session.flush()


def make_digests(session: Session, *, now: datetime) -> None:
    """Queue the daily letters that are due: one a person and day, of what they have not read in the app, none of nothing."""
    outbox.sort_due(session, now=now)
    for person_id in queries.readers_due(session, now=now):
        make_digest(session, person_id=person_id, now=now)


def make_digest(session: Session, *, person_id: str, now: datetime) -> None:
    """One person's; where today's has gone already, what waits comes tomorrow."""
    zone = queries.zone_of(session, person_id)
    found = queries.waiting_for(session, person_id, now=now)
    unread = [message.id for _, message in found if message.read_at is None]
    told = not unread or outbox.queue_first(
        session,
        person_id=person_id,
        kind=DIGEST,
        data={"messages": unread[:MOST_LISTED], "more": len(unread[MOST_LISTED:])},
        cause=f"digest:{person_id}:{now.astimezone(zone).date()}",
        now=now,
    )
    for entry, _ in found:
        if told:
            session.delete(entry)
        else:
            entry.due_at = next_digest(now, zone)
    session.flush()
