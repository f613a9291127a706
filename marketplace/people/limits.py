"""Attempts in fixed windows, counted in the database, so that a limit holds across processes."""

from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from marketplace.jobs import due_slot
from marketplace.refusals import TooMany
from marketplace.tables import Attempt
from marketplace.upsert import insert_new

KEEP = timedelta(days=2)


def count(session: Session, subject: str, *, limit: int, window: timedelta, now: datetime) -> None:
    """Count one attempt of `subject`. Raises: TooMany, with the seconds until the window ends."""
    subject = subject[:200]
    start = due_slot(now, window)
    insert_new(session, Attempt, [{"subject": subject, "window_start": start, "count": 0}], key="subject")
    mine = (Attempt.subject == subject) & (Attempt.window_start == start)
    used = session.scalar(update(Attempt).where(mine).values(count=Attempt.count + 1).returning(Attempt.count))
    if used is not None and used > limit:
        raise TooMany(retry_after_s=int((start + window - now).total_seconds()) + 1)


def purge(session: Session, *, now: datetime) -> None:
    session.execute(delete(Attempt).where(Attempt.window_start < now - KEEP))
