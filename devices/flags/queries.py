"""Reads of flags, and of what is looked at for them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from booking import queries as booking
from booking.lines import queries as lines
from booking.states import BookingState
from booking.tables import Category
from devices.evidence.records import bounds
from devices.flags.bursts import DAYS_BEFORE, LAST_DAYS
from devices.flags.days import Kind, TakenOver
from devices.flags.tables import DeviceFlag, FlagLook
from devices.matching import EARLY_GRACE, OVERRUN_MAX
from devices.readings import Reason
from devices.segments import State
from devices.tables import Device, RawMessage, RejectedMessage, StateSegment
from marketplace.refusals import NotFound
from marketplace.slot import Slot, subtract, union

A_DAY = timedelta(days=1)
_Row = TypeVar("_Row", DeviceFlag, int)
USED = frozenset({BookingState.CONFIRMED, BookingState.COMPLETED})


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


def open_flags(session: Session, institution_id: str | None, *, limit: int) -> Sequence[DeviceFlag]:
    """Of an institution or of all, the newest first."""
    rows = _of_institution(select(DeviceFlag), institution_id).where(DeviceFlag.closed_at.is_(None))
    return session.scalars(rows.order_by(DeviceFlag.day.desc(), DeviceFlag.id.desc()).limit(limit)).all()


def closed_flags(session: Session, institution_id: str | None, *, limit: int, offset: int = 0) -> Sequence[DeviceFlag]:
    """Of an institution or of all, the last closed first."""
    rows = _of_institution(select(DeviceFlag), institution_id).where(DeviceFlag.closed_at.is_not(None))
    return session.scalars(rows.order_by(DeviceFlag.closed_at.desc(), DeviceFlag.id.desc()).limit(limit).offset(offset)).all()


def count_open(session: Session, institution_id: str | None) -> int:
    """Of an institution or of all."""
    rows = _of_institution(select(func.count(DeviceFlag.id)), institution_id)
    return session.scalar(rows.where(DeviceFlag.closed_at.is_(None))) or 0


def open_by_device(session: Session, device_ids: Collection[str]) -> dict[str, list[DeviceFlag]]:
    """Those of each device that has any, the newest first."""
    rows = select(DeviceFlag).where(DeviceFlag.device_id.in_(device_ids), DeviceFlag.closed_at.is_(None))
    found: dict[str, list[DeviceFlag]] = {}
    for row in session.scalars(rows.order_by(DeviceFlag.day.desc(), DeviceFlag.id.desc())):
        found.setdefault(row.device_id, []).append(row)
    return found


def _of_institution(rows: Select[_Row], institution_id: str | None) -> Select[_Row]:
    if institution_id is None:
        return rows
    return rows.join(Device, Device.id == DeviceFlag.device_id).where(Device.institution_id == institution_id)


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


def next_day(session: Session, device: Device, *, after: date | None) -> date | None:
    """The first day after that one on which anything of the device was received, or it was taken over."""
    heard = select(func.min(RawMessage.received_at)).where(RawMessage.device_id == device.id)
    taken = select(func.min(RejectedMessage.received_at)).where(*_taken(device.key))
    if after:
        since = bounds(after)[1]
        heard, taken = heard.where(RawMessage.received_at >= since), taken.where(RejectedMessage.received_at >= since)
    found = [at for one in (heard, taken) if isinstance(at := session.scalar(one), datetime)]
    return min(found).astimezone(UTC).date() if found else None


def _taken(device_key: str) -> tuple[ColumnElement[bool], ...]:
    return RejectedMessage.device_key == device_key, RejectedMessage.reason == Reason.TAKEN_OVER.value


def taken_over(session: Session, device_key: str, within: Slot) -> list[TakenOver]:
    """The minutes in which it was, in order."""
    then = (RejectedMessage.received_at >= within.start, RejectedMessage.received_at < within.end)
    rows = session.execute(
        select(RejectedMessage.received_at, RejectedMessage.detail)
        .where(*_taken(device_key), *then)
        .order_by(RejectedMessage.received_at)
    )
    return [TakenOver(at, address) for at, address in rows]


def hours_before(session: Session, device: Device, end: datetime) -> list[float | None]:
    """The hours it ran in each 24 before `end`, the last first, without what outside customers had booked, be it a line or a
    station of it.

    None where it was seen for less than half of them, or the machine was out of use for half.
    """
    whole = Slot(end - A_DAY * (LAST_DAYS + DAYS_BEFORE), end)
    rows = session.execute(
        select(StateSegment.starts_at, StateSegment.ends_at, StateSegment.state).where(
            StateSegment.device_id == device.id, StateSegment.starts_at < whole.end, StateSegment.ends_at > whole.start
        )
    )
    seen = [(piece, state) for start, until, state in rows if (piece := Slot(start, until).clip(whole))]
    kin = lines.kin_of(session, device.resource_id)
    booked = [
        row.slot.widen(EARLY_GRACE, OVERRUN_MAX)
        for row in booking.bookings_of_any(session, kin.every, within=whole.widen(OVERRUN_MAX, EARLY_GRACE))
        if row.category is Category.EXT and row.state in USED
    ]
    down = [piece for row in booking.outages_of(session, device.resource_id, within=whole) if (piece := row.slot.clip(whole))]
    ran = _by_day(subtract([piece for piece, state in seen if state is State.RUN], booked), end)
    known = _by_day(union(piece for piece, state in seen if state is not State.UNKNOWN), end)
    lost = _by_day(union(down), end)
    told = zip(ran, known, lost, strict=True)
    return [run / timedelta(hours=1) if sure * 2 >= A_DAY > out * 2 else None for run, sure, out in told]


def _by_day(pieces: Iterable[Slot], end: datetime) -> list[timedelta]:
    """How much of them lies in each 24 hours before `end`, the last first."""
    found = [timedelta()] * (LAST_DAYS + DAYS_BEFORE)
    for piece in pieces:
        start = piece.start
        while start < piece.end:
            back = (end - start - timedelta.resolution) // A_DAY
            until = min(piece.end, end - back * A_DAY)
            found[back] += until - start
            start = until
    return found


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
