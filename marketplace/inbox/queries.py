"""Reads of a person's messages and of how they want to be told."""

from collections.abc import Collection, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from marketplace.inbox.tables import DigestEntry, MessageChoice, ReadersZone
from marketplace.refusals import NotFound
from marketplace.tables import Message, Person
from marketplace.topics import DIGEST, READERS_ZONE, Delivery, Topic

NOT_SHOWN = (DIGEST, "password_reset")
"""A digest repeats what is there; a reset's link would let whoever sits at a browser change the password."""

MOST_COUNTED = 100
"""The number beside one's name stops here: "99+" says enough, and the count stays cheap."""

READERS_AT_ONCE = 200
"""Daily letters one run of the worker makes at most."""


def messages_of(session: Session, person_id: str, *, before: str | None = None, limit: int = 50) -> Sequence[Message]:
    """A person's messages, newest first; `before` is the last id of the page before. Raises: NotFound (no such message)."""
    mine = select(Message).where(Message.person_id == person_id, Message.kind.not_in(NOT_SHOWN))
    if before:
        last = get_message_of(session, person_id, before)
        mine = mine.where(tuple_(Message.created_at, Message.id) < (last.created_at, last.id))
    return session.scalars(mine.order_by(Message.created_at.desc(), Message.id.desc()).limit(limit)).all()


def get_message_of(session: Session, person_id: str, message_id: str) -> Message:
    """Raises: NotFound (also for another person's)."""
    row = session.get(Message, message_id)
    if row is None or row.person_id != person_id or row.kind in NOT_SHOWN:
        raise NotFound(kind="message")
    return row


def count_unread(session: Session, person_id: str) -> int:
    """How many messages a person has not read, counted up to 100."""
    unread = select(Message.id).where(Message.person_id == person_id, Message.read_at.is_(None), Message.kind.not_in(NOT_SHOWN))
    return session.scalar(select(func.count()).select_from(unread.limit(MOST_COUNTED).subquery())) or 0


def delivery_of(session: Session, person_id: str, topic: Topic | None) -> Delivery:
    """How a person wants letters about `topic`; what has no topic comes at once. Nobody writes to a disabled account."""
    person = session.get(Person, person_id)
    if person and person.disabled_at:
        return Delivery.APP
    row = session.get(MessageChoice, (person_id, topic)) if topic else None
    return row.delivery if row else Delivery.AT_ONCE


def choices_of(session: Session, person_id: str) -> dict[Topic, Delivery]:
    """Every topic with what holds for it."""
    rows = session.scalars(select(MessageChoice).where(MessageChoice.person_id == person_id))
    return dict.fromkeys(Topic, Delivery.AT_ONCE) | {row.topic: row.delivery for row in rows}


def zone_of(session: Session, person_id: str) -> ZoneInfo:
    """On whose clock a person's daily letter comes."""
    row = session.get(ReadersZone, person_id)
    return ZoneInfo(row.timezone if row else READERS_ZONE)


def readers_due(session: Session, *, now: datetime) -> Sequence[str]:
    """People for whom something waits whose daily letter is due, longest waiting first."""
    waiting = select(DigestEntry.person_id).where(DigestEntry.due_at <= now).group_by(DigestEntry.person_id)
    return session.scalars(waiting.order_by(func.min(DigestEntry.due_at)).limit(READERS_AT_ONCE)).all()


def waiting_for(session: Session, person_id: str, *, now: datetime) -> Sequence[tuple[DigestEntry, Message]]:
    """What a person's daily letter of `now` is about, oldest first, locked."""
    rows = session.execute(
        select(DigestEntry, Message)
        .join(Message, Message.id == DigestEntry.message_id)
        .where(DigestEntry.person_id == person_id, DigestEntry.due_at <= now)
        .order_by(Message.created_at, Message.id)
        .with_for_update(of=DigestEntry)
    )
    return [(entry, message) for entry, message in rows]


def messages_by_id(session: Session, message_ids: Collection[str]) -> Sequence[Message]:
    """Oldest first."""
    found = select(Message).where(Message.id.in_(message_ids))
    return session.scalars(found.order_by(Message.created_at, Message.id)).all()
