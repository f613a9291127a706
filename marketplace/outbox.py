"""Messages to people: queued in the transaction that causes them, sent by the worker, never twice."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from marketplace.ids import new_id
from marketplace.tables import Message
from marketplace.upsert import insert_new

LEASE = timedelta(minutes=5)
ATTEMPTS = 8
BATCH = 50


def queue(session: Session, *, person_id: str, kind: str, data: dict[str, Any], cause: str, now: datetime) -> None:
    """Tell `person_id` of `kind`; a second call with the same `cause` does nothing."""
    row = {
        "id": new_id("msg"),
        "cause": cause,
        "person_id": person_id,
        "kind": kind,
        "data": data,
        "run_at": now,
        "attempts": 0,
        "created_at": now,
    }
    session.flush()
    insert_new(session, Message, [row], key="id")


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


def inbox(session: Session, person_id: str, *, limit: int = 50) -> Sequence[Message]:
    """A person's messages, newest first."""
    mine = select(Message).where(Message.person_id == person_id).order_by(Message.created_at.desc(), Message.id.desc())
    return session.scalars(mine.limit(limit)).all()
