"""Reads of seals and records, and of what is still to be sealed."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from devices.evidence.records import DayRecord, Seal, SignedSeal, bounds
from devices.evidence.tables import EvidenceDay, EvidenceSeal
from devices.tables import Device, RawMessage


def last_seal(session: Session) -> Seal | None:
    return next((signed(row).seal for row in latest_seals(session, limit=1)), None)


def signed(row: EvidenceSeal) -> SignedSeal:
    return SignedSeal(Seal(**{field.name: getattr(row, field.name) for field in fields(Seal)}), row.signature)


def seals(session: Session) -> Sequence[EvidenceSeal]:
    """From the first on."""
    return session.scalars(select(EvidenceSeal).order_by(EvidenceSeal.number)).all()


def latest_seals(session: Session, *, limit: int, before: int | None = None) -> Sequence[EvidenceSeal]:
    """Newest first."""
    rows = select(EvidenceSeal).order_by(EvidenceSeal.number.desc()).limit(limit)
    return session.scalars(rows if before is None else rows.where(EvidenceSeal.number < before)).all()


def records_of(session: Session, seal: int) -> list[DayRecord]:
    """What goes into a seal, in the order of its leaves."""
    columns = tuple(getattr(EvidenceDay, field.name) for field in fields(DayRecord))
    order = (EvidenceDay.day, EvidenceDay.device_id, EvidenceDay.number)
    return [DayRecord(*row) for row in session.execute(select(*columns).where(EvidenceDay.seal == seal).order_by(*order))]


def as_record(row: EvidenceDay) -> DayRecord:
    return DayRecord(**{field.name: getattr(row, field.name) for field in fields(DayRecord)})


def days_of(session: Session, device_id: str, *, days: Collection[date]) -> Sequence[EvidenceDay]:
    mine = select(EvidenceDay).where(EvidenceDay.device_id == device_id, EvidenceDay.day.in_(days))
    return session.scalars(mine.order_by(EvidenceDay.day, EvidenceDay.number)).all()


def first_day(session: Session) -> date | None:
    """The first on which anything was received."""
    first = select(RawMessage.received_at).where(RawMessage.device_id == Device.id).order_by(RawMessage.received_at).limit(1)
    found = session.scalar(select(func.min(first.scalar_subquery())))
    return found.astimezone(UTC).date() if isinstance(found, datetime) else None


def total_of(session: Session, device_id: str) -> int:
    """A device's messages under all its records so far."""
    mine = select(func.coalesce(func.sum(EvidenceDay.count), 0)).where(EvidenceDay.device_id == device_id)
    return session.scalar(mine) or 0


def without_record(session: Session, day: date, *, limit: int) -> Sequence[str]:
    """Devices that were there or heard on a day and have no record of it: a day of silence has one too."""
    start, end = bounds(day)
    mine = RawMessage.device_id == Device.id
    heard = exists().where(mine, RawMessage.received_at >= start, RawMessage.received_at < end) | (Device.created_at < end)
    recorded = exists().where(EvidenceDay.device_id == Device.id, EvidenceDay.day == day)
    return session.scalars(select(Device.id).where(heard, ~recorded).order_by(Device.id).limit(limit)).all()


def is_late(session: Session, device_id: str, day: date) -> bool:
    """Whether more messages of a day that has a record are stored than its records hold."""
    start, end = bounds(day)
    mine = (RawMessage.device_id == device_id, RawMessage.received_at >= start, RawMessage.received_at < end)
    stored = session.scalar(select(func.count()).where(*mine)) or 0
    days = days_of(session, device_id, days=[day])
    return bool(days) and stored > sum(row.count for row in days)
