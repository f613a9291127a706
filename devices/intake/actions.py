"""Writes of a batch: its messages, the heartbeat that proves the way works, and gaps that the broker admitted."""

from datetime import datetime

from sqlalchemy.orm import Session

from devices import actions, queries
from devices.ingest import Batch
from devices.tables import Heartbeat, IngestGap
from marketplace.ids import new_id

BEAT = "ingest"


def store_batch(session: Session, batch: Batch, *, now: datetime) -> None:
    """Everything in `batch`, so that it may be acknowledged once this is committed. Repeatable."""
    for lost_at in batch.lost_at:
        _record_gap(session, lost_at)
    if batch.envelopes:
        actions.store(session, batch.envelopes)
    if batch.refused:
        actions.store_unstorable(session, batch.refused)
    if batch.beat_at is not None:
        _record_beat(session, min(batch.beat_at, now))
    session.flush()


def _record_gap(session: Session, lost_at: datetime) -> None:
    """The broker forgot our session: between the last committed heartbeat and now messages may be missing."""
    since = queries.last_heartbeat(session)
    if since is not None and since < lost_at:
        reason = "the broker had lost the session"
        session.add(IngestGap(id=new_id("gap"), starts_at=since, ends_at=lost_at, reason=reason))


def _record_beat(session: Session, at: datetime) -> None:
    row = session.get(Heartbeat, BEAT)
    if row is None:
        session.add(Heartbeat(name=BEAT, at=at))
    else:
        row.at = max(row.at, at)
