"""Reads of how meters do: each one's own live state and coverage, and all of them as an operator looks at them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Integer, Subquery, case, cast, exists, func, literal, select
from sqlalchemy.orm import Session

from devices.flags.days import Kind
from devices.flags.tables import DeviceFlag
from devices.health.spans import seconds_between
from devices.queries import LiveState, live_state
from devices.segments import State
from devices.tables import Device, DeviceCertificate, DeviceState, LatestSample, RejectedMessage, StateSegment
from marketplace.db import Utc
from marketplace.slot import Slot, total

TODAY = timedelta(hours=24)
"""Messages that were turned away longer ago say nothing of how a meter does now."""
CERTIFICATE_ENDS = timedelta(days=30)
"""Time enough to bring a new one to the device."""


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


def live_of_devices(session: Session, devices: Sequence[Device], *, now: datetime) -> dict[str, LiveState]:
    """Of each its own, whatever the others of its machine say."""
    samples = session.scalars(select(LatestSample).where(LatestSample.device_id.in_([one.id for one in devices])))
    known = {row.device_id: [row] for row in samples}
    return {
        one.id: live_state(known.get(one.id, []), now, sensed=one.state is DeviceState.ACTIVE) for one in devices
    }  # fmt: skip


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
    """How many of each kind, of an institution or of all; in one statement."""
    doing = _doing(institution_id, now)
    columns = [func.coalesce(func.sum(cast(_those(doing, which), Integer)), 0).label(which.value) for which in Which]
    row = session.execute(select(*columns)).one()
    return {which: int(row._mapping[which.value]) for which in Which}


def list_doing(
    session: Session, institution_id: str | None, which: Which, *, now: datetime, limit: int, offset: int = 0
) -> list[Doing]:
    """Those never heard first, then those that were heard longest ago."""
    doing = _doing(institution_id, now)
    rows = session.execute(
        select(doing)
        .where(_those(doing, which))
        .order_by(doing.c.last_message_at.nulls_first(), doing.c.device_id)
        .limit(limit)
        .offset(offset)
    )
    return [
        Doing(
            row.device_id, row.key, row.name, row.resource_id, row.institution_id, row.last_message_at, Signal(row.signal),
            bool(row.rejected), bool(row.clock), bool(row.questions), row.certificate_ends_at,
        )
        for row in rows
    ]  # fmt: skip


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


def _doing(institution_id: str | None, now: datetime) -> Subquery:
    """A row for each active meter. What is looked up for each is found in an index."""
    asked = _questions()
    ends = _certificates(now)
    rejected = exists().where(RejectedMessage.device_key == Device.key, RejectedMessage.received_at >= now - TODAY)
    quiet = seconds_between(LatestSample.at, literal(now, Utc()))
    signal = case(
        (Device.last_message_at.is_(None), Signal.NEVER.value),
        (quiet <= LatestSample.stale_after_s, Signal.HEARD.value),
        else_=Signal.SILENT.value,
    )
    rows = (
        select(
            Device.id.label("device_id"), Device.key, Device.name, Device.resource_id, Device.institution_id,
            Device.last_message_at, signal.label("signal"), rejected.label("rejected"),
            func.coalesce(asked.c.of_clock, 0).label("clock"),
            (asked.c.device_id.is_not(None)).label("questions"), ends.c.ends_at.label("certificate_ends_at"),
        )
        .outerjoin(LatestSample, LatestSample.device_id == Device.id)
        .outerjoin(asked, asked.c.device_id == Device.id)
        .outerjoin(ends, ends.c.device_id == Device.id)
        .where(Device.state == DeviceState.ACTIVE)
    )  # fmt: skip
    return (rows.where(Device.institution_id == institution_id) if institution_id else rows).subquery()


def _questions() -> Subquery:
    of_clock = func.max(case((DeviceFlag.kind == Kind.CLOCK, 1), else_=0)).label("of_clock")
    rows = select(DeviceFlag.device_id, of_clock).where(DeviceFlag.closed_at.is_(None))
    return rows.group_by(DeviceFlag.device_id).subquery()


def _certificates(now: datetime) -> Subquery:
    last = func.max(DeviceCertificate.expires_at)
    rows = select(DeviceCertificate.device_id, last.label("ends_at")).where(DeviceCertificate.revoked_at.is_(None))
    soon = last.between(now - CERTIFICATE_ENDS, now + CERTIFICATE_ENDS)
    return rows.group_by(DeviceCertificate.device_id).having(soon).subquery()


def _those(doing: Subquery, which: Which) -> ColumnElement[bool]:
    found: dict[Which, ColumnElement[bool]] = {
        Which.ALL: doing.c.device_id.is_not(None),
        Which.REJECTED: doing.c.rejected.is_(True),
        Which.CLOCK: doing.c.clock == 1,
        Which.QUESTIONS: doing.c.questions.is_(True),
        Which.CERTIFICATE: doing.c.certificate_ends_at.is_not(None),
    }
    return found.get(which, doing.c.signal == which.value)
