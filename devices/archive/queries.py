"""Reads of what is archived, of what is due to be, and of what a fold still rests on."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from devices import queries as devices
from devices.archive.files import EPOCH
from devices.archive.tables import ArchivedDay, ArchiveFile
from devices.evidence import merkle
from devices.evidence import queries as evidence
from devices.evidence.actions import LATE_DAYS
from devices.evidence.keys import is_signed
from devices.evidence.records import bounds
from devices.evidence.tables import EvidenceSeal
from devices.folding import samples_of
from devices.placing import BACKLOG_REACH
from devices.tables import Device, RawMessage
from devices.what_if import REACH
from marketplace.slot import Slot

SEALS_IN_FRONT = 10
"""The audit reads the messages of the newest seals in the database: so many days are sealed after one before it is archived."""
FIRST_LOOK, LONG_LOOK = 20, 2000
"""Messages among which one must say something itself, else a fold might look for it further back."""


def files(session: Session) -> Sequence[ArchiveFile]:
    """Newest day first."""
    return session.scalars(select(ArchiveFile).order_by(ArchiveFile.day.desc(), ArchiveFile.name)).all()


def newest_file(session: Session) -> ArchiveFile | None:
    """The one that was written last."""
    return session.scalars(select(ArchiveFile).order_by(ArchiveFile.written_at.desc(), ArchiveFile.name).limit(1)).one_or_none()


def unmoved(session: Session, *, limit: int) -> Sequence[ArchivedDay]:
    """What lies in a file and may still be in the database, file by file."""
    waiting = select(ArchivedDay).where(ArchivedDay.moved_at.is_(None))
    return session.scalars(waiting.order_by(ArchivedDay.file, ArchivedDay.device_id).limit(limit)).all()


def find_day(session: Session, device_id: str, day: date) -> ArchivedDay | None:
    return session.get(ArchivedDay, (device_id, day))


def days_in(session: Session, file: str) -> Sequence[ArchivedDay]:
    return session.scalars(select(ArchivedDay).where(ArchivedDay.file == file).order_by(ArchivedDay.device_id)).all()


def days_with_births(session: Session, device_id: str, *, until: date, limit: int) -> Sequence[ArchivedDay]:
    """Newest first."""
    mine = (ArchivedDay.device_id == device_id, ArchivedDay.births, ArchivedDay.day <= until)
    return session.scalars(select(ArchivedDay).where(*mine).order_by(ArchivedDay.day.desc()).limit(limit)).all()


def due(
    session: Session, *, keep: timedelta, now: datetime, besides: Collection[str], limit: int
) -> tuple[date, list[str]] | None:
    """The first day that is old enough and sealed for good, and devices whose oldest messages are of it; None where none is."""
    last = evidence.last_seal(session)
    if last is None:
        return None
    end = min(bounds((now - keep).astimezone(UTC).date())[0], bounds(last.day - timedelta(days=SEALS_IN_FRONT))[1])
    first = (
        select(RawMessage.received_at)
        .where(RawMessage.device_id == Device.id, RawMessage.received_at >= func.coalesce(Device.archived_until, EPOCH))
        .order_by(RawMessage.received_at)
        .limit(1)
        .scalar_subquery()
    )
    waiting = exists().where(ArchivedDay.device_id == Device.id, ArchivedDay.moved_at.is_(None))
    by_day: dict[date, list[str]] = defaultdict(list)
    for device_id, at in session.execute(select(Device.id, first).where(~waiting).order_by(Device.id)):
        if at is not None and at < end and device_id not in besides:
            by_day[at.astimezone(UTC).date()].append(device_id)
    return next(((day, by_day[day][:limit]) for day in sorted(by_day)), None)


def seals_hold(session: Session, day: date) -> bool:
    """Whether the seals that a day's records went into are signed and are those of their records."""
    last = day + timedelta(days=LATE_DAYS)
    for row in session.scalars(select(EvidenceSeal).where(EvidenceSeal.day >= day, EvidenceSeal.day <= last)):
        seal, records = evidence.signed(row).seal, evidence.records_of(session, row.number)
        root = merkle.root([record.leaf() for record in records]).hex()
        if (len(records), root) != (seal.records, seal.root) or not is_signed(seal, row.signature):
            return False
    return True


def is_needed(session: Session, device: Device, day: date, *, now: datetime) -> bool:
    """Whether a fold to come, or what other thresholds would have made of the last days, might begin on that day or before.

    So it is while a run that began then is not long over, while late messages of then wait, and as long as a device has sent
    nothing but signs of life since.
    """
    profiles = devices.profiles_of(session, device.id)
    floor = bounds(day)[1] + BACKLOG_REACH
    back = max(REACH, *(one.span("backfill") for one in profiles.every))
    before = min(now - back, device.dirty_from or now)
    if devices.stable_point(session, device.id, profiles, before=before) < floor:
        return True
    if device.last_message_at is None or device.last_message_at < now - back:
        return False
    births = devices.births_of(session, device.id, before=floor)
    for limit in (FIRST_LOOK, LONG_LOOK):
        heard = devices.messages_within(session, device.id, Slot(floor, now), limit=limit)
        _, samples = samples_of([*births, *heard], profiles, until=now)
        if not heard or any(one.at >= floor and not one.beats for one in samples):
            return False
    return True
