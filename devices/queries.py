"""Reads of devices, sessions, segments and confirmed use. Live state is in devices.live."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from booking.lines import queries as lines
from booking.lines.queries import Kin
from booking.states import BookingState
from booking.tables import Booking
from devices.discrepancies.queries import with_discrepancies
from devices.matching import OVERRUN_MAX, Verdict
from devices.placing import BACKLOG_REACH
from devices.profile import InForce, Profile, Profiles, stored_profile
from devices.readings import Envelope
from devices.rights import login_name
from devices.segments import Segment, State, combine, filled, of_line
from devices.tables import (
    ConfirmedUse,
    Device,
    DeviceCertificate,
    DeviceState,
    Heartbeat,
    OldSecret,
    RawMessage,
    RejectedCount,
    RejectedMessage,
    StateSegment,
    Thresholds,
    UsageSession,
)
from marketplace.refusals import NotFound
from marketplace.slot import Slot

LOOK_BACK = timedelta(hours=2)
"""A fold begins at least this far before the first new message, so that silences and pauses are seen whole."""
RESOLUTION = timedelta(microseconds=1)
"""Of instants as they are stored."""
INGEST, LISTENER, REFUSED = "ingest", "listener", "refused"
"""What is on record with its last time: the whole way worked, somebody had the connection to the broker, it refused a login."""
OUTCOMES = {
    Verdict.FULFILLED: BookingState.COMPLETED,
    Verdict.NO_SHOW: BookingState.NO_SHOW,
    Verdict.PROVIDER_FAILED: BookingState.PROVIDER_FAILED,
    Verdict.UNVERIFIABLE: BookingState.UNVERIFIABLE,
}


ENVELOPE = (RawMessage.topic, RawMessage.payload, RawMessage.received_at, RawMessage.retain, RawMessage.backlog)


def get_device(session: Session, device_id: str) -> Device:
    """Raises: NotFound."""
    if row := session.get(Device, device_id):
        return row
    raise NotFound(kind="device")


def lock_device(session: Session, device_id: str) -> Device:
    """As it is now, and until the transaction ends. Raises: NotFound."""
    if row := session.get(Device, device_id, with_for_update=True, populate_existing=True):
        return row
    raise NotFound(kind="device")


def lock_devices_of(session: Session, resource_id: str) -> None:
    """Until the transaction ends nothing of the devices of the resource, and of what is below it, is folded."""
    parts = lines.kin_of(session, resource_id).parts
    mine = select(Device.id).where(Device.resource_id.in_(parts)).order_by(Device.id)
    session.execute(mine.with_for_update()).all()


def devices_of(session: Session, resource_id: str, *, limit: int | None = None, offset: int = 0) -> Sequence[Device]:
    mine = select(Device).where(Device.resource_id == resource_id).order_by(Device.created_at, Device.id)
    return session.scalars(mine.limit(limit).offset(offset)).all()


def is_measured(session: Session, resource_id: str) -> bool:
    """Whether a meter was ever connected to the resource or to anything below it."""
    parts = lines.kin_of(session, resource_id).parts
    return session.scalar(select(exists().where(Device.resource_id.in_(parts)))) or False


def active_devices(session: Session) -> Sequence[Device]:
    """Everyone who may connect to the broker."""
    return session.scalars(select(Device).where(Device.state == DeviceState.ACTIVE).order_by(Device.key)).all()


def certificates_of(session: Session, device_id: str) -> Sequence[DeviceCertificate]:
    """Newest first."""
    mine = select(DeviceCertificate).where(DeviceCertificate.device_id == device_id)
    return session.scalars(mine.order_by(DeviceCertificate.issued_at.desc(), DeviceCertificate.serial)).all()


def revoked_certificates(session: Session, *, now: datetime) -> list[tuple[str, datetime]]:
    """(serial, since when) of those that have not expired anyway, oldest first."""
    rows = session.execute(
        select(DeviceCertificate.serial, DeviceCertificate.revoked_at)
        .where(DeviceCertificate.revoked_at.is_not(None), DeviceCertificate.expires_at > now)
        .order_by(DeviceCertificate.revoked_at, DeviceCertificate.serial)
    )
    return [(serial, since) for serial, since in rows if since]


def logins(session: Session, *, at: datetime) -> list[tuple[str, str]]:
    """(name, hash of the secret) of everyone who may connect to a broker that has them in a file, where a name has one secret.
    Columns, not rows: a tenth of the time."""
    present = select(Device.key, Device.login_number, Device.secret_hash).where(Device.state == DeviceState.ACTIVE)
    old = select(Device.key, OldSecret.login_number, OldSecret.secret_hash).join(OldSecret, OldSecret.device_id == Device.id)
    counting = (OldSecret.ends_at > at, OldSecret.login_number != Device.login_number, Device.state == DeviceState.ACTIVE)
    rows = [*session.execute(present), *session.execute(old.where(*counting))]
    return sorted((login_name(key, number), hashed) for key, number, hashed in rows)


def logins_version(session: Session, *, at: datetime) -> tuple[int, int]:
    """Another one whenever `logins` has changed, whichever transaction came first; a tenth of its time. The first number grows
    with each change that is made, the second falls where an old secret ends by itself."""
    changes = session.scalar(select(func.sum(Device.access_version))) or 0
    return changes, session.scalar(select(func.count()).where(OldSecret.ends_at > at)) or 0


def second_names(session: Session) -> int:
    """How many devices log in by theirs."""
    return session.scalar(select(func.count()).where(Device.login_number != 1)) or 0


def find_old_secret(session: Session, device_id: str, *, at: datetime) -> OldSecret | None:
    """Where it still counts then."""
    row = session.get(OldSecret, device_id)
    return row if row and row.ends_at > at else None


def devices_by_key(session: Session, keys: Collection[str]) -> dict[str, Device]:
    return {row.key: row for row in session.scalars(select(Device).where(Device.key.in_(keys)))}


def devices_by_id(session: Session, ids: Collection[str]) -> dict[str, Device]:
    return {row.id: row for row in session.scalars(select(Device).where(Device.id.in_(ids)))}


def profile_of(session: Session, device_id: str, *, at: datetime) -> Profile:
    """The thresholds in force at `at`; before the first ones, the first. Raises: NotFound."""
    return profiles_of(session, device_id).at(at)


def profiles_of(session: Session, device_id: str) -> Profiles:
    """Raises: NotFound."""
    if rows := thresholds_of(session, device_id):
        return Profiles([(since, stored_profile(profile)) for since, profile in rows])
    raise NotFound(kind="device")


def profiles_of_each(session: Session, device_ids: Collection[str]) -> dict[str, Profiles]:
    """Of each device, in one query."""
    found: dict[str, list[tuple[datetime, Profile]]] = defaultdict(list)
    theirs = select(Thresholds.device_id, Thresholds.valid_from, Thresholds.profile).where(Thresholds.device_id.in_(device_ids))
    for device_id, since, profile in session.execute(theirs.order_by(Thresholds.valid_from)):
        found[device_id].append((since, stored_profile(profile)))
    return {device_id: Profiles(dated) for device_id, dated in found.items()}


def thresholds_of(session: Session, device_id: str) -> list[tuple[datetime, dict[str, Any]]]:
    """Since when each was in force, oldest first."""
    mine = select(Thresholds.valid_from, Thresholds.profile).where(Thresholds.device_id == device_id)
    return [(since, profile) for since, profile in session.execute(mine.order_by(Thresholds.valid_from))]


def heard_before(session: Session, device_id: str, at: datetime) -> bool:
    """Whether a message of the device came before `at`."""
    earlier = exists().where(RawMessage.device_id == device_id, RawMessage.received_at < at)
    return bool(session.scalar(select(earlier)))


def sessions_of_resource(
    session: Session, resource_id: str, *, within: Slot, limit: int | None = None, offset: int = 0
) -> Sequence[UsageSession]:
    """Sessions of the resource and of everything below it that touch `within`, in order."""
    parts = lines.kin_of(session, resource_id).parts
    theirs = _touching(within).where(UsageSession.resource_id.in_(parts))
    return session.scalars(theirs.limit(limit).offset(offset)).all()


def sessions_alone(session: Session, resource_id: str, *, within: Slot) -> Sequence[UsageSession]:
    """The same of its own meters only."""
    return session.scalars(_touching(within).where(UsageSession.resource_id == resource_id)).all()


def _touching(within: Slot) -> Select[UsageSession]:
    then = (UsageSession.starts_at < within.end, UsageSession.until > within.start)
    return select(UsageSession).where(*then).order_by(UsageSession.starts_at, UsageSession.id)


def stable_point(session: Session, device_id: str, profiles: InForce, *, before: datetime) -> datetime:
    """Where the fold may begin without changing what lies before: outside any session, past any pause or silence."""
    reach = max(max(LOOK_BACK, one.span("max_gap") + one.span("stale_after"), 2 * one.span("min_off")) for one in profiles.every)
    start = before - reach
    recent = or_(UsageSession.until >= start - reach, UsageSession.ends_at.is_(None))
    touching = (
        select(UsageSession.starts_at)
        .where(UsageSession.device_id == device_id, UsageSession.starts_at <= start, recent)
        .order_by(UsageSession.starts_at)
        .limit(1)
    )
    run = session.scalar(touching)
    return run if run is not None else start


def fold_floor(session: Session, device: Device) -> datetime | None:
    """Where a fold may begin at the earliest: behind what is archived, by as much as late messages look back, and outside of any
    session. None where nothing is archived."""
    if device.archived_until is None:
        return None
    floor = device.archived_until + BACKLOG_REACH
    touching = (
        select(UsageSession.until)
        .where(UsageSession.device_id == device.id, UsageSession.starts_at <= floor, UsageSession.until >= floor)
        .order_by(UsageSession.starts_at.desc())
        .limit(1)
    )
    until = session.scalar(touching)
    return floor if until is None else until + RESOLUTION


def segments_of_resource(session: Session, resource_id: str, *, within: Slot) -> list[Segment]:
    """States of the resource inside `within`, clipped: all its meters together, and of a line all its parts; what is not
    covered is unknown."""
    parts = list(segments_of_parts(session, lines.kin_of(session, resource_id), within=within).values())
    return parts[0] if len(parts) == 1 else of_line([filled(part, within) for part in parts])


def segments_of_parts(session: Session, kin: Kin, *, within: Slot) -> dict[str, list[Segment]]:
    """Of the resource and of each part below it that anything measured then, or was to measure: its states, clipped. As all
    messages come to, those too that came after the time was sealed."""
    rows = session.execute(
        select(
            StateSegment.resource_id,
            StateSegment.device_id,
            StateSegment.starts_at,
            StateSegment.ends_at,
            StateSegment.state,
            StateSegment.bridged,
        )
        .where(StateSegment.resource_id.in_(kin.parts), StateSegment.starts_at < within.end, StateSegment.ends_at > within.start)
        .order_by(StateSegment.device_id, StateSegment.starts_at)
    )
    stored: dict[tuple[str, str], list[Segment]] = defaultdict(list)
    for part_id, device_id, starts_at, ends_at, state, bridged in rows:
        if piece := Slot(starts_at, ends_at).clip(within):
            stored[part_id, device_id].append(Segment(piece, state, bridged))
    meters: dict[str, list[list[Segment]]] = defaultdict(list)
    for (part_id, _), known in with_discrepancies(session, stored, kin.parts, within).items():
        meters[part_id].append(known)
    alive = or_(Device.revoked_at.is_(None), Device.revoked_at > within.start)
    due = select(Device.resource_id).where(Device.resource_id.in_(kin.standing), Device.created_at < within.end, alive)
    sensed = {*meters, *session.scalars(due)} if kin.below else {*meters}
    return {part_id: combine(meters[part_id]) for part_id in kin.parts if part_id in sensed}


def use_of_booking(session: Session, booking_id: str) -> ConfirmedUse | None:
    """The latest word on what the booking used; None while it is not decided."""
    return session.scalars(
        select(ConfirmedUse).where(ConfirmedUse.booking_id == booking_id).order_by(ConfirmedUse.number.desc()).limit(1)
    ).one_or_none()


def uses_of_bookings(session: Session, booking_ids: Collection[str]) -> dict[str, ConfirmedUse]:
    """The latest use of each."""
    rows = session.scalars(select(ConfirmedUse).where(ConfirmedUse.booking_id.in_(booking_ids)).order_by(ConfirmedUse.number))
    return {row.booking_id: row for row in rows}


def bookings_to_confirm(session: Session, *, now: datetime, limit: int = 200) -> Sequence[Booking]:
    """Ended bookings without a confirmed use of which the end of use is known: each part that has a meter was seen not running
    at or after the end, nothing measures it, or the longest overrun has passed."""
    undecided = ~exists().where(ConfirmedUse.booking_id == Booking.id)
    over = and_(Booking.starts_at < now, Booking.ends_at <= now)  # by their start they are found in an index
    ended = (
        select(Booking.id, Booking.resource_id, Booking.ends_at)
        .where(Booking.state == BookingState.CONFIRMED, over, undecided)
        .cte("ended")
    )
    tree = lines.tree_of(select(ended.c.resource_id))
    stopped = exists().where(
        StateSegment.resource_id == Device.resource_id,
        StateSegment.ends_at > ended.c.ends_at,
        StateSegment.state.in_([State.IDLE, State.OFF, State.FAULT]),
    )
    waiting = select(ended.c.id).join(tree, tree.c.root == ended.c.resource_id)
    waiting = waiting.join(Device, Device.resource_id == tree.c.part).where(~stopped)
    ready = or_(ended.c.ends_at <= now - OVERRUN_MAX, ended.c.id.not_in(waiting))
    found = select(Booking).join(ended, ended.c.id == Booking.id).where(ready)
    return session.scalars(found.order_by(Booking.ends_at).limit(limit)).all()


def verdicts_to_conclude(session: Session, *, limit: int = 200) -> list[tuple[str, BookingState]]:
    """(booking, outcome) wherever the latest verdict is not yet the booking's state."""
    later = aliased(ConfirmedUse)
    newest = ~exists().where(later.booking_id == ConfirmedUse.booking_id, later.number > ConfirmedUse.number)
    rows = session.execute(
        select(ConfirmedUse.booking_id, ConfirmedUse.verdict)
        .join(Booking, Booking.id == ConfirmedUse.booking_id)
        .where(newest, Booking.state.in_([BookingState.CONFIRMED, BookingState.UNVERIFIABLE]))
        .where(or_(Booking.state == BookingState.CONFIRMED, ConfirmedUse.verdict != Verdict.UNVERIFIABLE))
        .limit(limit)
    )
    return [(booking_id, OUTCOMES[verdict]) for booking_id, verdict in rows]


def messages_of(session: Session, device_id: str, *, since: datetime) -> list[Envelope]:
    """In order of receipt."""
    return _envelopes(session, RawMessage.device_id == device_id, RawMessage.received_at >= since)


def messages_within(session: Session, device_id: str, within: Slot, *, limit: int | None = None) -> list[Envelope]:
    """What was received then, in that order, the first of it."""
    then = (RawMessage.received_at >= within.start, RawMessage.received_at < within.end)
    return _envelopes(session, RawMessage.device_id == device_id, *then, limit=limit)


def received_before_last(session: Session, device_id: str, *, count: int) -> datetime | None:
    """When the message came after which `count` others did; None where there are not as many."""
    mine = select(RawMessage.received_at).where(RawMessage.device_id == device_id)
    return session.scalar(mine.order_by(RawMessage.received_at.desc()).offset(count).limit(1))


def births_of(session: Session, device_id: str, *, before: datetime) -> list[Envelope]:
    """The last birth of a Sparkplug node before that time and those of its devices after it, in order of receipt."""
    mine = (RawMessage.device_id == device_id, RawMessage.received_at < before)
    last = select(func.max(RawMessage.received_at)).where(*mine, RawMessage.topic.like("%spBv1.0/%/NBIRTH/%"))
    if (born := session.scalar(last)) is None:
        return []
    return _envelopes(session, *mine, RawMessage.received_at >= born, RawMessage.topic.like("%spBv1.0/%BIRTH/%"))


def last_messages(session: Session, device_id: str, *, count: int) -> list[Envelope]:
    """The last ones that were taken, in order of receipt."""
    newest = (RawMessage.received_at.desc(), RawMessage.digest)
    rows = session.execute(select(*ENVELOPE).where(RawMessage.device_id == device_id).order_by(*newest).limit(count))
    return [Envelope(*row) for row in reversed(rows.all())]


def _envelopes(session: Session, *those: ColumnElement[bool], limit: int | None = None) -> list[Envelope]:
    rows = session.execute(select(*ENVELOPE).where(*those).order_by(RawMessage.received_at).limit(limit))
    return [Envelope(*row) for row in rows]


def rejected_of(session: Session, device_key: str, *, limit: int = 50, offset: int = 0) -> Sequence[RejectedMessage]:
    """Newest first."""
    mine = select(RejectedMessage).where(RejectedMessage.device_key == device_key)
    newest = mine.order_by(RejectedMessage.received_at.desc(), RejectedMessage.id.desc())
    return session.scalars(newest.limit(limit).offset(offset)).all()


def was_rejected(session: Session, rejection_id: str) -> bool:
    """Whether it is stored already."""
    return session.scalar(select(exists().where(RejectedMessage.id == rejection_id))) or False


def rejected_recently(session: Session, *, limit: int = 100) -> Sequence[RejectedMessage]:
    """The whole platform's, newest first, unknown devices among them."""
    return session.scalars(select(RejectedMessage).order_by(RejectedMessage.received_at.desc()).limit(limit)).all()


def count_rejected(session: Session, device_keys: Collection[str]) -> dict[str, int]:
    """Ever, those that are forgotten by now among them."""
    kept = select(RejectedMessage.device_key, func.count()).where(RejectedMessage.device_key.in_(device_keys))
    forgotten = select(RejectedCount.device_key, func.sum(RejectedCount.count)).where(RejectedCount.device_key.in_(device_keys))
    found: dict[str, int] = defaultdict(int)
    for rows in (kept.group_by(RejectedMessage.device_key), forgotten.group_by(RejectedCount.device_key)):
        for key, count in session.execute(rows):
            found[key] += int(count)
    return dict(found)


def last_heartbeat(session: Session, name: str = INGEST) -> datetime | None:
    """When a message that ingest sent to itself was last committed, all before it too; or a sign of the one that listens."""
    return session.scalar(select(Heartbeat.at).where(Heartbeat.name == name))
