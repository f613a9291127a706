"""Due slots of timed jobs: whoever inserts the row runs it, so there is no leader and no gap when one dies."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from marketplace.tables import JobSlot
from marketplace.upsert import insert_new

CATCH_UP = 50
"""Missed slots run again at start, at most; older ones have nothing of their own to do, every job is a reconciler."""

KEEP = timedelta(days=8)


def due_slot(now: datetime, every: timedelta) -> datetime:
    """The latest due slot at or before `now`, counted from the epoch.

    >>> due_slot(datetime(2026, 3, 10, 9, 7, tzinfo=UTC), timedelta(minutes=5)).minute
    5
    """
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (now - epoch) // every * every


def claim(session: Session, *, job: str, due_at: datetime, now: datetime) -> bool:
    """Whether this process is the one that runs `job` for `due_at`."""
    return bool(insert_new(session, JobSlot, [{"job": job, "due_at": due_at, "claimed_at": now}], key="job"))


def finish(session: Session, *, job: str, due_at: datetime, now: datetime) -> None:
    session.get_one(JobSlot, (job, due_at)).done_at = now
    session.flush()


def missed(session: Session, *, job: str, every: timedelta, now: datetime) -> list[datetime]:
    """Slots since the last claimed one that nobody has claimed, oldest first; none where the job never ran."""
    last = session.scalar(select(func.max(JobSlot.due_at)).where(JobSlot.job == job))
    present = due_slot(now, every)
    if last is None or last >= present:
        return []
    first = max(last + every, present - every * (CATCH_UP - 1))
    return [first + every * n for n in range((present - first) // every + 1)]


def last_done(session: Session, *, job: str) -> datetime | None:
    return session.scalar(select(func.max(JobSlot.done_at)).where(JobSlot.job == job))


def purge(session: Session, *, now: datetime) -> None:
    session.execute(delete(JobSlot).where(JobSlot.due_at < now - KEEP))
