"""What must hold of sealed time: what is stored of it is what was sealed."""

from collections.abc import Iterator
from random import Random
from time import monotonic

from sqlalchemy import select
from sqlalchemy.orm import Session

from devices.discrepancies.actions import digest_of
from devices.discrepancies.tables import SealedStretch
from marketplace.slot import Slot

LOOKED_AT_S = 20.0
"""So long stretches are compared, in another order each time."""


def violations(session: Session) -> Iterator[str]:
    """A sentence each."""
    until = monotonic() + LOOKED_AT_S
    keys = session.execute(
        select(SealedStretch.resource_id, SealedStretch.starts_at, SealedStretch.cause_id).where(
            SealedStretch.digest.is_not(None)
        )
    ).all()
    for key in Random().sample(keys, len(keys)):
        row = session.get_one(SealedStretch, tuple(key))
        if digest_of(session, row.resource_id, Slot(row.starts_at, row.ends_at), row.sessions) != row.digest:
            yield f"sealed_time_is_as_it_was_sealed: {row.resource_id} from {row.starts_at}, of {row.cause} {row.cause_id}"
        if monotonic() > until:
            return
