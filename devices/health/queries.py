"""Reads of how meters do: each one's own live state and coverage, and all of them as an operator looks at them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Subquery, and_, case, exists, func, literal, not_, or_, select, true
from sqlalchemy.orm import Session

from devices.flags.days import Kind
from devices.flags.tables import DeviceFlag
from devices.health.spans import seconds_between
from devices.segments import State
from devices.tables import Device, DeviceCertificate, DeviceState, LatestSample, RejectedMessage, StateSegment
from marketplace.db import Utc
from marketplace.slot import Slot, total

TODAY = timedelta(hours=24)
"""Messages that were turned away longer ago say nothing of how a meter does now."""
CERTIFICATE_ENDS = timedelta(days=30)
"""Time enough to bring a new one to the device."""


SAMPLES = (LatestSample, LatestSample.device_id == Device.id)


class Signal(StrEnum):
    HEARD = "heard"
    SILENT = "silent"
    NEVER = "never"


class Which(StrEnum):
    """What is asked for: those with a signal of that kind, or with something to look at."""

    ALL = "all"
    HEARD = "heard"
    SILENT = "silent"
    NEVER = "never"
    REJECTED = "rejected"
    CLOCK = "clock"
    QUESTIONS = "questions"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Doing:
    """How one meter does."""

    device_id: str
    key: str
    name: str
    resource_id: str
    institution_id: str
    last_message_at: datetime | None
    signal: Signal
    rejected: bool
    """Something of it was turned away within the last day."""
    clock: bool
    """Whether its clock is wrong is an open question."""
    questions: bool
    certificate_ends_at: datetime | None
    """Where the last of its certificates that count ends soon, or just has."""


def coverage(session: Session, device: Device, *, now: datetime, reach: timedelta) -> float | None:
    """The share of the last while, since it was registered at most, in which its state was known; None of one just registered."""
    start = max(now - reach, device.created_at)
    if start >= now:
        return None
    whole = Slot(start, now)
    mine = (StateSegment.device_id == device.id, StateSegment.starts_at < now, StateSegment.ends_at > start)
    rows = session.execute(
        select(StateSegment.starts_at, StateSegment.ends_at).where(*mine, StateSegment.state != State.UNKNOWN)
    ).all()
    known = [piece for begin, end in rows if (piece := Slot(begin, end).clip(whole))]
    last = session.get(LatestSample, device.id)
    if last and last.at < now <= last.at + timedelta(seconds=last.stale_after_s) and (piece := Slot(last.at, now).clip(whole)):
        known.append(piece)  # it is not silent yet
    return total(known) / whole.duration


def counts(session: Session, institution_id: str | None, *, now: datetime) -> dict[Which, int]:
    """How many of each kind, of an institution or of all; in five statements, which are quicker than one."""
    theirs = _active(institution_id)
    never = func.count().filter(Device.last_message_at.is_(None))
    signals = select(func.count(), never, func.count().filter(_heard(now))).select_from(Device)
    every, unheard, heard = session.execute(signals.outerjoin(*SAMPLES).where(*theirs)).one()
    counted = {
        which: session.scalar(select(func.count()).select_from(Device).where(*theirs, _those(which, now))) or 0
        for which in (Which.REJECTED, Which.CLOCK, Which.QUESTIONS, Which.CERTIFICATE)
    }
    silent = every - unheard - heard
    return {Which.ALL: every, Which.HEARD: heard, Which.SILENT: silent, Which.NEVER: unheard, **counted}


def list_doing(
    session: Session, institution_id: str | None, which: Which, *, now: datetime, limit: int, offset: int = 0
) -> list[Doing]:
    """Those never heard first, then those that were heard longest ago. What else there is of each is looked up for them alone."""
    found = select(Device.id).where(*_active(institution_id), _those(which, now))
    found = found.outerjoin(*SAMPLES) if which in (Which.HEARD, Which.SILENT) else found
    oldest = (Device.last_message_at.nulls_first(), Device.id)
    page = found.order_by(*oldest).limit(limit).offset(offset).subquery()
    asked = exists().where(DeviceFlag.device_id == Device.id, DeviceFlag.closed_at.is_(None))
    ends = select(func.max(DeviceCertificate.expires_at)).where(
        DeviceCertificate.device_id == Device.id, DeviceCertificate.revoked_at.is_(None)
    )
    rows = session.execute(
        select(
            Device,
            _heard(now).label("heard"),
            _rejected(now).label("rejected"),
            asked.where(DeviceFlag.kind == Kind.CLOCK).label("clock"),
            asked.label("questions"),
            ends.scalar_subquery().label("ends"),
        )
        .join(page, page.c.id == Device.id)
        .outerjoin(*SAMPLES)
        .order_by(*oldest)
    )
    return [
        Doing(
            device_id=device.id,
            key=device.key,
            name=device.name,
            resource_id=device.resource_id,
            institution_id=device.institution_id,
            last_message_at=device.last_message_at,
            signal=Signal.NEVER if device.last_message_at is None else Signal.HEARD if heard else Signal.SILENT,
            rejected=bool(rejected),
            clock=bool(clock),
            questions=bool(questions),
            certificate_ends_at=ends_at if ends_at and abs(ends_at - now) <= CERTIFICATE_ENDS else None,
        )
        for device, heard, rejected, clock, questions, ends_at in rows
    ]


def last_rejected(session: Session, device_keys: Collection[str]) -> Mapping[str, datetime]:
    """When something of each was turned away last."""
    newest = select(func.max(RejectedMessage.received_at)).where(RejectedMessage.device_key == Device.key)
    theirs = select(Device.key, newest.scalar_subquery()).where(Device.key.in_(device_keys))  # one step in an index each
    return {key: at for key, at in session.execute(theirs) if at}


def count_since(session: Session, device_key: str, *, since: datetime, reason: str | None = None, most: int = 1000) -> int:
    """Messages of a key that were turned away since then; `most` where there are more."""
    mine = select(RejectedMessage.id).where(RejectedMessage.device_key == device_key, RejectedMessage.received_at >= since)
    if reason:
        mine = mine.where(RejectedMessage.reason == reason)
    return session.scalar(select(func.count()).select_from(mine.limit(most).subquery())) or 0


def _active(institution_id: str | None) -> list[ColumnElement[bool]]:
    own = [Device.institution_id == institution_id] if institution_id else []
    return [Device.state == DeviceState.ACTIVE, *own]


def _heard(now: datetime) -> ColumnElement[bool]:
    return seconds_between(LatestSample.at, literal(now, Utc())) <= LatestSample.stale_after_s


def _rejected(now: datetime) -> ColumnElement[bool]:
    return exists().where(RejectedMessage.device_key == Device.key, RejectedMessage.received_at >= now - TODAY)


def _questions() -> Subquery:
    of_clock = func.max(case((DeviceFlag.kind == Kind.CLOCK, 1), else_=0)).label("of_clock")
    rows = select(DeviceFlag.device_id, of_clock).where(DeviceFlag.closed_at.is_(None))
    return rows.group_by(DeviceFlag.device_id).subquery()


def _certificates(now: datetime) -> Subquery:
    last = func.max(DeviceCertificate.expires_at)
    rows = select(DeviceCertificate.device_id, last.label("ends_at")).where(DeviceCertificate.revoked_at.is_(None))
    soon = last.between(now - CERTIFICATE_ENDS, now + CERTIFICATE_ENDS)
    return rows.group_by(DeviceCertificate.device_id).having(soon).subquery()


def _those(which: Which, now: datetime) -> ColumnElement[bool]:
    """Of devices; with their latest samples where those that are heard or silent are asked for."""
    asked, ends = _questions(), _certificates(now)
    spoke = Device.last_message_at.is_not(None)
    found: dict[Which, ColumnElement[bool]] = {
        Which.ALL: true(),
        Which.HEARD: and_(spoke, _heard(now)),
        Which.SILENT: and_(spoke, or_(LatestSample.at.is_(None), not_(_heard(now)))),
        Which.NEVER: not_(spoke),
        Which.REJECTED: _rejected(now),
        Which.CLOCK: Device.id.in_(select(asked.c.device_id).where(asked.c.of_clock == 1)),
        Which.QUESTIONS: Device.id.in_(select(asked.c.device_id)),
        Which.CERTIFICATE: Device.id.in_(select(ends.c.device_id)),
    }
    return found[which]
