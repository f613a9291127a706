"""The word to whoever is next that the use before theirs is not over."""

from datetime import datetime

from sqlalchemy.orm import Session

from devices.overruns.queries import overruns
from marketplace import outbox

KIND = "booking_delayed"


def warn(session: Session, *, now: datetime) -> int:
    """Tell each who is next, once for each use that runs late; how many were told."""
    told = 0
    for one in overruns(session, now=now):
        row = one.waits
        times = {"start": row.starts_at.isoformat(), "end": row.ends_at.isoformat(), "since": one.since.isoformat()}
        data = {"booking_id": row.id, "resource_id": row.resource_id, "version": row.version, **times}
        cause = f"{row.id}:{KIND}:{one.late.id}"
        told += outbox.queue_first(session, person_id=row.person_id, kind=KIND, data=data, cause=cause, now=now)
    return told
