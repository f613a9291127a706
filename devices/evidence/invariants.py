"""What must hold of the evidence, whatever happened: seals are signed and tied, records are under them, messages under those."""

from collections.abc import Iterator
from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from devices import queries as devices
from devices.evidence import merkle, queries
from devices.evidence.actions import LATE_DAYS
from devices.evidence.keys import broken
from devices.evidence.records import bounds, message_leaf
from devices.evidence.tables import EvidenceDay
from marketplace.slot import Slot

LATE = timedelta(days=LATE_DAYS)
LOOKED_AT = 7
"""Of the newest seals all records and messages; of the others their signatures and order. `verify-evidence` looks at any."""


def violations(session: Session) -> Iterator[str]:
    """A sentence each."""
    seals = queries.seals(session)
    yield from broken([queries.signed(row) for row in seals])
    for row in seals[-LOOKED_AT:]:
        records = queries.records_of(session, row.number)
        root = merkle.root([record.leaf() for record in records]).hex()
        if (len(records), root) != (row.records, row.root):
            yield f"seal {row.number} of {row.day} is not that of its records"
        for day in session.scalars(select(EvidenceDay).where(EvidenceDay.seal == row.number)):
            yield from _record(session, day, seals[-1].day)


def _record(session: Session, row: EvidenceDay, newest: date) -> Iterator[str]:
    leaves = merkle.split(row.leaves)
    if merkle.root(leaves).hex() != row.root or len(leaves) != row.count:
        yield f"the record of device {row.device_id} of {row.day} is not that of its leaves"
    messages = devices.messages_within(session, row.device_id, Slot(*bounds(row.day)))
    stored = {message_leaf(row.device_id, message) for message in messages}
    if lost := set(leaves) - stored:
        yield f"{len(lost)} sealed messages of device {row.device_id} of {row.day} were changed or are gone"
    if row.number == 1 and row.day < newest - LATE:
        held = {leaf for one in queries.days_of(session, row.device_id, days=[row.day]) for leaf in merkle.split(one.leaves)}
        if bare := stored - held:
            yield f"{len(bare)} messages of device {row.device_id} of {row.day} were stored too late for any seal"
