"""Reads of flags, and of what is looked at for them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from devices.evidence.records import bounds
from devices.flags.rules import Kind
from devices.flags.tables import DeviceFlag, FlagLook
from devices.segments import State
from devices.tables import Device, RawMessage, StateSegment
from marketplace.refusals import NotFound
from marketplace.slot import Slot


def get_flag(session: Session, flag_id: str) -> DeviceFlag:
    """Raises: NotFound."""
    if row := session.get(DeviceFlag, flag_id):
        return row
    raise NotFound(kind="flag")


def flags_of(session: Session, resource_id: str, *, limit: int = 50, offset: int = 0) -> Sequence[DeviceFlag]:
    """Open ones first, the newest of each first."""
    mine = select(DeviceFlag).where(DeviceFlag.resource_id == resource_id)
    newest = mine.order_by(DeviceFlag.closed_at.is_not(None), DeviceFlag.day.desc(), DeviceFlag.id.desc())
    return session.scalars(newest.limit(limit).offset(offset)).all()


def asked_kinds(session: Session, device_id: str, *, since: datetime) -> set[Kind]:
    """Of which a question is open, or was closed since then."""
    standing = or_(DeviceFlag.closed_at.is_(None), DeviceFlag.closed_at >= since)
    return set(session.scalars(select(DeviceFlag.kind).where(DeviceFlag.device_id == device_id, standing)))


def not_looked_at(session: Session, *, before: date, limit: int) -> Sequence[Device]:
    """Devices that have spoken since the day up to which they were looked at."""
    heard = Device.last_message_at.is_not(None)
    behind = or_(FlagLook.until.is_(None), FlagLook.until < before)
    rows = select(Device).outerjoin(FlagLook, FlagLook.device_id == Device.id).where(heard, behind)
    return session.scalars(rows.order_by(FlagLook.until, Device.id).limit(limit)).all()


def next_day(session: Session, device_id: str, *, after: date | None) -> date | None:
    """The first day after that one on which anything of the device was received."""
    mine = select(func.min(RawMessage.received_at)).where(RawMessage.device_id == device_id)
    found = session.scalar(mine.where(RawMessage.received_at >= bounds(after)[1]) if after else mine)
    return found.astimezone(UTC).date() if isinstance(found, datetime) else None


def running_share(session: Session, device_id: str, day: date) -> float:
    """Of the whole day, by the segments that are stored."""
    whole = Slot(*bounds(day))
    rows = session.scalars(
        select(StateSegment).where(
            StateSegment.device_id == device_id,
            StateSegment.state == State.RUN,
            StateSegment.starts_at < whole.end,
            StateSegment.ends_at > whole.start,
        )
    )
    pieces = [piece for row in rows if (piece := Slot(row.starts_at, row.ends_at).clip(whole))]
    return sum((piece.duration for piece in pieces), timedelta()) / whole.duration
