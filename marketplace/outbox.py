"""Messages to people: queued in the transaction that causes them, sent by the worker, never twice."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from marketplace.ids import new_id
from marketplace.inbox import queries
from marketplace.inbox.tables import DigestEntry, Reminder
from marketplace.tables import Message
from marketplace.topics import Delivery, next_digest, topic_of
from marketplace.upsert import insert_new

LEASE = timedelta(minutes=5)
ATTEMPTS = 8
BATCH = 50
KEEP = timedelta(days=30)


def queue(session: Session, *, person_id: str, kind: str, data: dict[str, Any], cause: str, now: datetime) -> bool:
    """Tell `person_id` of `kind` the way they chose; False where the same `cause` has told them before."""
    delivery = queries.delivery_of(session, person_id, topic_of(kind))
    message_id = new_id("msg")
    row = {
        "id": message_id,
        "cause": cause,
        "person_id": person_id,
        "kind": kind,
        "data": data,
        "run_at": now,
        "attempts": 0,
        "sent_at": None if delivery is Delivery.AT_ONCE else now,
        "created_at": now,
    }
    session.flush()
    if not insert_new(session, Message, [row], key="id"):
        return False
    if delivery is Delivery.DIGEST:
        due = next_digest(now, queries.zone_of(session, person_id))
        session.add(DigestEntry(message_id=message_id, person_id=person_id, due_at=due))
        session.flush()
    return True


def note_reminder(session: Session, *, subject_id: str, event_at: datetime, now: datetime) -> bool:
    """Whether nobody has looked before at whether to remind of this event."""
    row = {"subject_id": subject_id, "event_at": event_at, "noted_at": now}
    return bool(insert_new(session, Reminder, [row], key="subject_id"))


def claim_due(session: Session, *, now: datetime) -> Sequence[Message]:
    """Lease what is due to this process; a lease that lies further ahead than any lease is long is void."""
    free = or_(Message.lease_until.is_(None), Message.lease_until <= now, Message.lease_until > now + LEASE)
    due = (
        select(Message)
        .where(Message.sent_at.is_(None), Message.failed_at.is_(None), Message.run_at <= now, free)
        .order_by(Message.run_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    rows = session.scalars(due).all()
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
