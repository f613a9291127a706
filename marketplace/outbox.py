"""Messages to people: queued in the transaction that causes them, sent by the worker, never twice."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, or_, select
from sqlalchemy.orm import Session

from marketplace.ids import new_id
from marketplace.inbox import queries
from marketplace.inbox.tables import DigestEntry, MessageChoice, Reminder
from marketplace.prepared import Append
from marketplace.tables import Message, Person
from marketplace.topics import Delivery, next_digest, topic_of
from marketplace.upsert import insert_new

LEASE = timedelta(minutes=5)
ATTEMPTS = 8
BATCH = 50
SORTED = 1000
"""Messages looked at before one batch is posted."""
KEEP = timedelta(days=30)
NEW_MESSAGES = Append(Message, once=True)


def queue(session: Session, *, person_id: str, kind: str, data: dict[str, Any], cause: str, now: datetime) -> None:
    """Tell `person_id` of `kind`, the way they choose; nothing where the same `cause` has told them before."""
    NEW_MESSAGES.add(session, [_row(person_id, kind, data, cause, now)])


def queue_first(session: Session, *, person_id: str, kind: str, data: dict[str, Any], cause: str, now: datetime) -> bool:
    """The same at once, and whether it is the first of its `cause`."""
    session.flush()
    return bool(insert_new(session, Message, [_row(person_id, kind, data, cause, now)], key="id"))


def _row(person_id: str, kind: str, data: dict[str, Any], cause: str, now: datetime) -> dict[str, Any]:
    message = {"id": new_id("msg"), "cause": cause, "person_id": person_id, "kind": kind, "data": data}
    return {**message, "run_at": now, "attempts": 0, "created_at": now}


def sort_due(session: Session, *, now: datetime) -> None:
    """Take out of the post what is read in the app alone, or waits for its reader's daily letter."""
    has_a_wish = exists().where(MessageChoice.person_id == Message.person_id, MessageChoice.delivery != Delivery.AT_ONCE)
    disabled = exists().where(Person.id == Message.person_id, Person.disabled_at.is_not(None))
    found = select(Message).where(*_due(now), or_(has_a_wish, disabled)).order_by(Message.run_at).limit(SORTED)
    for message in session.scalars(found.with_for_update(skip_locked=True)).all():
        delivery = queries.delivery_of(session, message.person_id, topic_of(message.kind))
        if delivery is not Delivery.AT_ONCE:
            message.sent_at = now
        if delivery is Delivery.DIGEST:
            due = next_digest(message.created_at, queries.zone_of(session, message.person_id))
            session.add(DigestEntry(message_id=message.id, person_id=message.person_id, due_at=due))
    session.flush()


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Not sent, and nobody's to send; a lease that lies further ahead than any lease is long is void."""
    free = or_(Message.lease_until.is_(None), Message.lease_until <= now, Message.lease_until > now + LEASE)
    return Message.sent_at.is_(None), Message.failed_at.is_(None), Message.run_at <= now, free


def note_reminder(session: Session, *, subject_id: str, event_at: datetime, now: datetime) -> bool:
    """Whether nobody has looked before at whether to remind of this event."""
    row = {"subject_id": subject_id, "event_at": event_at, "noted_at": now}
    return bool(insert_new(session, Reminder, [row], key="subject_id"))


def claim_due(session: Session, *, now: datetime) -> Sequence[Message]:
    """Lease what is to be posted to this process."""
    sort_due(session, now=now)
    due = select(Message).where(*_due(now)).order_by(Message.run_at).limit(BATCH)
    rows = session.scalars(due.with_for_update(skip_locked=True)).all()
    for row in rows:
        row.lease_until = now + LEASE
    session.flush()
    return rows


def get_message(session: Session, message_id: str) -> Message:
    """For the sender, which knows that it is there."""
    return session.get_one(Message, message_id)


def mark_sent(session: Session, *, message_id: str, now: datetime) -> None:
    row = session.get_one(Message, message_id)
    row.sent_at, row.lease_until = now, None
    session.flush()


def mark_failed(session: Session, *, message_id: str, now: datetime) -> None:
    """Try again after 1, 2, 4 ... minutes; after eight attempts the message stays in the app only."""
    row = session.get_one(Message, message_id)
    row.attempts += 1
    row.lease_until = None
    row.run_at = now + timedelta(minutes=2 ** (row.attempts - 1))
    row.failed_at = now if row.attempts >= ATTEMPTS else None
    session.flush()


def purge(session: Session, *, now: datetime) -> None:
    """Forget which events were looked at for a reminder once they are long over."""
    session.execute(delete(Reminder).where(Reminder.event_at < now - KEEP))
