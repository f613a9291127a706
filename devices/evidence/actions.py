"""Sealing: once a day is over, each device's messages under one root, all roots under one signature."""

from dataclasses import asdict
from datetime import date, datetime, timedelta
from time import monotonic

from sqlalchemy.orm import Session

from devices import queries as devices
from devices.evidence import merkle, queries
from devices.evidence.keys import Signer
from devices.evidence.records import FIRST, DayRecord, Seal, bounds, message_leaf, thresholds_digest
from devices.evidence.tables import EvidenceDay, EvidenceSeal
from marketplace.slot import Slot

SETTLED = timedelta(hours=1)
"""After a day's end: until then what was received within it may still be on its way into the database."""
LATE_DAYS = 2
"""So many days back it is looked for what was stored later than that."""
AT_ONCE = 200
"""Devices in one step."""
WORKS_S = 1.0
"""A transaction lasts little longer: bookings wait for it on SQLite."""


def seal_due(session: Session, *, signer: Signer, now: datetime) -> int:
    """Days that are over, as many as go in `WORKS_S`; how many steps were taken."""
    steps, until = 0, monotonic() + WORKS_S
    while seal_next(session, signer=signer, now=now):
        steps += 1
        if monotonic() > until:
            break
    return steps


def seal_next(session: Session, *, signer: Signer, now: datetime) -> bool:
    """Go on with the first day that is over and not sealed; whether there was something to do. Bounded: call it again."""
    last = queries.last_seal(session)
    day = last.day + timedelta(days=1) if last else queries.first_day(session)
    if day is None or now < bounds(day)[1] + SETTLED:
        return False
    number, _ = _after(last)
    heard = queries.without_record(session, day, limit=AT_ONCE)
    for device_id in heard:
        _record(session, device_id, day, seal=number)
    if len(heard) < AT_ONCE:
        _seal(session, last, day, signer, now)
    return True


def _record(session: Session, device_id: str, day: date, *, seal: int) -> None:
    """What was stored late, day by day, then the day itself: so its total counts all of them."""
    for back in range(LATE_DAYS, 0, -1):
        if queries.is_late(session, device_id, day - timedelta(days=back)):
            _add_record(session, device_id, day - timedelta(days=back), seal=seal)
    _add_record(session, device_id, day, seal=seal)


def _add_record(session: Session, device_id: str, day: date, *, seal: int) -> None:
    """The messages of a day that no record holds yet, in the order of receipt."""
    before = queries.days_of(session, device_id, days=[day])
    held = {leaf for row in before for leaf in merkle.split(row.leaves)}
    messages = devices.messages_within(session, device_id, Slot(*bounds(day)))
    found = sorted((message.received_at, message_leaf(device_id, message)) for message in messages)
    leaves = [leaf for _, leaf in found if leaf not in held]
    record = DayRecord(
        device_id=device_id,
        day=day,
        number=len(before) + 1,
        count=len(leaves),
        total=queries.total_of(session, device_id) + len(leaves),
        root=merkle.root(leaves).hex(),
        thresholds=thresholds_digest(devices.thresholds_of(session, device_id), day),
    )
    session.add(EvidenceDay(**asdict(record), seal=seal, leaves=b"".join(leaves)))
    session.flush()


def _seal(session: Session, last: Seal | None, day: date, signer: Signer, now: datetime) -> None:
    number, previous = _after(last)
    records = queries.records_of(session, number)
    root = merkle.root([record.leaf() for record in records]).hex()
    seal = Seal(number, day, previous, len(records), root, signer.key)
    session.add(EvidenceSeal(**asdict(seal), signature=signer.sign(seal), sealed_at=now))
    session.flush()


def _after(last: Seal | None) -> tuple[int, str]:
    """Number of the next seal, and the digest that it names."""
    return (last.number + 1, last.digest()) if last else (1, FIRST)
