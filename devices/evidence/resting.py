"""What a use rests on: of each meter and day (UTC) the sealed record, and which of its leaves came in that time."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session

from booking.lines import queries as lines
from booking.tables import Booking
from devices.confirming import extent
from devices.evidence.queries import signed
from devices.evidence.records import bounds
from devices.evidence.tables import EvidenceDay, EvidenceSeal
from devices.tables import ConfirmedUse, Device, RawMessage
from marketplace.slot import Slot

A_DAY = timedelta(days=1)
MOST_DAYS = 62
"""As many as an answer with the messages holds; of a longer use the first ones."""
MOST_ROWS = 400
"""Records that are named; a line of six stations books two months."""


@dataclass(frozen=True, slots=True)
class Leaves:
    """A record that is under a seal, and its leaves that were received in the time, by their place in it."""

    number: int
    root: str
    count: int
    seal: int
    seal_digest: str
    first: int | None
    within: int | None
    """How many from `first` (0 is the first leaf) on. Both None where it is not known any more: the messages are in the archive,
    or some were stored late and lie under another record."""


@dataclass(frozen=True, slots=True)
class DayOfMeter:
    device_id: str
    key: str
    name: str
    resource_id: str
    day: date
    records: Sequence[Leaves]
    """Empty where the day is not sealed yet."""


@dataclass(frozen=True, slots=True)
class Basis:
    """Of a use, by meter and day."""

    first: date
    last: date
    days: Sequence[DayOfMeter]
    """By meter, then by day."""
    signing_key: str | None
    """The public key of the newest of these seals."""
    complete: bool
    """Else only the first of them are named."""


def basis_of(session: Session, resource_ids: Collection[str], within: Slot) -> Basis:
    """Of all meters that these resources had by then; one query, bounded."""
    first, last = utc_days(within)
    shown = min(last, first + (MOST_DAYS - 1) * A_DAY)
    rows = session.execute(_query(resource_ids, within, first, last, shown)).all()
    days = [first + number * A_DAY for number in range((shown - first).days + 1)]
    cut = rows[MOST_ROWS - 1] if len(rows) > MOST_ROWS else None
    known = list(_days(rows[:MOST_ROWS], days))
    found = [one for one in known if not cut or one.device_id != cut.id or one.day <= cut.day]
    newest = max((row.EvidenceSeal for row in rows if row.EvidenceSeal), key=lambda seal: seal.number, default=None)
    complete = shown == last and len(rows) <= MOST_ROWS
    return Basis(first, last, found, newest.key if newest else None, complete)


def basis_of_use(session: Session, row: Booking, use: ConfirmedUse) -> Basis:
    """Of a booking, from the first of its use to the last, the booked time whole; of a line with all that is below it."""
    parts = lines.parts_of(session, [row.resource_id])[row.resource_id]
    return basis_of(session, parts, extent(row, use))


@dataclass(frozen=True, slots=True)
class SealedDays:
    """Of one meter in a longer time: how many of the days are sealed, and under which seals."""

    device_id: str
    name: str
    days: int
    messages: int
    first_seal: int | None
    last_seal: int | None


def sealed_days(session: Session, resource_ids: Collection[str], within: Slot) -> list[SealedDays]:
    """Of each meter that these resources had by then; one query."""
    first, last = utc_days(within)
    of_days = and_(EvidenceDay.device_id == Device.id, EvidenceDay.day >= first, EvidenceDay.day <= last)
    counted = (func.count(EvidenceDay.day.distinct()), func.coalesce(func.sum(EvidenceDay.count), 0))
    rows = session.execute(
        select(Device.id, Device.name, *counted, func.min(EvidenceSeal.number), func.max(EvidenceSeal.number))
        .outerjoin(EvidenceDay, of_days)
        .outerjoin(EvidenceSeal, EvidenceSeal.number == EvidenceDay.seal)
        .where(Device.resource_id.in_(resource_ids), Device.created_at < within.end)
        .group_by(Device.id, Device.name, Device.created_at)
        .order_by(Device.created_at, Device.id)
        .limit(MOST_ROWS)
    )
    return [SealedDays(device_id, name, days, int(messages), *seals) for device_id, name, days, messages, *seals in rows]


def utc_days(within: Slot) -> tuple[date, date]:
    """The first and the last one that it touches.

    >>> utc_days(Slot(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)))
    (datetime.date(2026, 3, 1), datetime.date(2026, 3, 31))
    """
    return within.start.astimezone(UTC).date(), (within.end - datetime.resolution).astimezone(UTC).date()


def export_command(resource_id: str, within: Slot) -> str:
    """What writes the messages and proofs of that time into a folder."""
    first, last = utc_days(within)
    return f"pilotbench evidence {resource_id} --from {first} --to {last} --out DIR"


def check_command(signing_key: str | None) -> str:
    """What checks such a folder without us."""
    return f"pilotbench verify-evidence DIR{f' --key {signing_key}' if signing_key else ''}"


def _query(resource_ids: Collection[str], within: Slot, first: date, last: date, shown: date) -> Any:
    """A row a record, and one of a meter without any. Messages are counted on the two days that the time cuts."""
    day = EvidenceDay.day
    of_days = and_(EvidenceDay.device_id == Device.id, day >= first, day <= shown)
    whole = case((day == first, _counted(*bounds(first))), (day == last, _counted(*bounds(last))), else_=EvidenceDay.count)
    before = case((day == first, _counted(bounds(first)[0], within.start)), else_=0)
    reached = case((day == last, _counted(bounds(last)[0], within.end)), else_=EvidenceDay.count)
    columns = (EvidenceDay.number, EvidenceDay.root, EvidenceDay.count.label("leaves"))
    return (
        select(Device.id, Device.key, Device.name, Device.resource_id, Device.created_at, day, *columns, EvidenceSeal)
        .add_columns(whole.label("whole"), before.label("before"), reached.label("reached"))
        .outerjoin(EvidenceDay, of_days)
        .outerjoin(EvidenceSeal, EvidenceSeal.number == EvidenceDay.seal)
        .where(Device.resource_id.in_(resource_ids), Device.created_at < within.end)
        .order_by(Device.created_at, Device.id, day, EvidenceDay.number)
        .limit(MOST_ROWS + 1)
    )


def _counted(start: datetime, end: datetime) -> ColumnElement[int]:
    theirs = (RawMessage.device_id == Device.id, RawMessage.received_at >= start, RawMessage.received_at < end)
    return select(func.count()).where(*theirs).correlate(Device).scalar_subquery()


def _days(rows: Sequence[Any], days: Sequence[date]) -> Iterator[DayOfMeter]:
    for (device_id, key, name, resource_id, created_at), some in groupby(rows, key=lambda row: tuple(row[:5])):
        mine = list(some)
        for day in days:
            if bounds(day)[1] <= created_at:
                continue
            records = [_leaves(row) for row in mine if row.day == day and row.EvidenceSeal]
            yield DayOfMeter(device_id, key, name, resource_id, day, records)


def _leaves(row: Any) -> Leaves:
    known = row.whole == row.leaves
    told = (row.before, row.reached - row.before) if known else (None, None)
    seal: EvidenceSeal = row.EvidenceSeal
    return Leaves(row.number, row.root, row.leaves, seal.number, signed(seal).seal.digest(), *told)
