"""Writes of telemetry: store a batch, fold dirty devices, confirm uses. Each may be repeated."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from booking.tables import Booking
from devices import queries
from devices.codecs import families
from devices.confirming import differs, measured_use, write_use
from devices.denials import Denial
from devices.folding import followed
from devices.matching import OVERRUN_MAX
from devices.placing import BACKLOG_REACH, Arrival, Sample, arrived, names, place, placed_at
from devices.profile import InForce, Profile
from devices.readings import Channel, Envelope, Reason, Rejected, Told
from devices.segments import Segment, segments
from devices.sessions import Session as Run
from devices.sessions import SessionState, fold
from devices.tables import (
    ConfirmedUse,
    Device,
    LatestSample,
    RawMessage,
    RejectedMessage,
    StateSegment,
    UsageSession,
)
from marketplace.ids import new_id
from marketplace.slot import Slot
from marketplace.upsert import insert_many_new, insert_new

KEPT_BYTES = 1024
CATCH_UP = timedelta(seconds=30)
"""How often an open session is looked at again although nothing new came."""

WATTS_SHOWN = 60
DENIED = {
    Reason.FOREIGN_TOPIC: "the broker lets a device write below its own name only",
    Reason.WRONG_LOGIN: "the broker knows no such name and secret",
}
BATCH_DEVICES = 50
Accepted = tuple[Device, Envelope, list[Arrival]]
"""A message of a device and what it says."""


def store(session: Session, envelopes: Sequence[Envelope]) -> None:
    """Keep a batch of messages: what decodes as its device's, what does not as rejected with the reason.

    Delivered twice, a message is stored once.
    """
    keyed = [(families.device_key(envelope.topic), envelope) for envelope in envelopes]
    known = queries.devices_by_key(session, {key for key, _ in keyed if isinstance(key, str)})
    profiles = queries.profiles_of_each(session, [device.id for device in known.values()])
    accepted: list[Accepted] = []
    refused: list[dict[str, Any]] = []
    for key, envelope in keyed:
        device = known.get(key) if isinstance(key, str) else None
        if device is None:
            reason = key if isinstance(key, Rejected) else Rejected(Reason.UNKNOWN_DEVICE, "no device has this key")
            refused.append(_rejected(None, key if isinstance(key, str) else "", envelope, reason))
            continue
        arrivals = read(envelope, profiles[device.id].at(envelope.received_at))
        if isinstance(arrivals, Rejected):
            refused.append(_rejected(device.id, device.key, envelope, arrivals))
        else:
            accepted.append((device, envelope, arrivals))
    _keep(session, accepted, profiles)
    if refused:
        session.execute(insert(RejectedMessage), refused)
    session.flush()


def store_unstorable(session: Session, envelopes: Sequence[Envelope]) -> None:
    """Keep as rejected what could not be stored for a reason that nobody foresaw, so that it stops no other."""
    reason = Rejected(Reason.UNSTORABLE, "could not be stored; the worker's log says why")
    keyed = ((families.device_key(envelope.topic), envelope) for envelope in envelopes)
    rows = [_rejected(None, key if isinstance(key, str) else "", envelope, reason) for key, envelope in keyed]
    session.execute(insert(RejectedMessage), rows)


def store_denials(session: Session, denials: Sequence[Denial]) -> None:
    """Count what the broker refused to its device; read twice, it is stored once."""
    known = queries.devices_by_key(session, {denial.client for denial in denials})
    rows = [
        {
            "id": denial.id,
            "device_id": known[denial.client].id if denial.client in known else None,
            "device_key": denial.client,
            "topic": denial.topic[:1000],
            "payload": b"",
            "size": denial.size,
            "reason": denial.reason.value,
            "detail": DENIED[denial.reason],
            "received_at": denial.at,
        }
        for denial in denials
    ]
    insert_new(session, RejectedMessage, rows, key="id")


def read(envelope: Envelope, profile: Profile) -> list[Arrival] | Rejected:
    """The envelope's readings as they arrived, or why it is turned away."""
    readings = families.decode(profile.family, envelope.topic, envelope.payload, profile.tz, profile.mapping)
    if isinstance(readings, Rejected):
        return readings
    return [arrived(envelope, Told(reading)) for reading in readings]


def _rejected(device_id: str | None, key: str, envelope: Envelope, reason: Rejected) -> dict[str, Any]:
    return {
        "id": new_id("rej"),
        "device_id": device_id,
        "device_key": key,
        "topic": envelope.topic.replace("\x00", "")[:1000],
        "payload": envelope.payload[:KEPT_BYTES],
        "size": len(envelope.payload),
        "reason": reason.reason.value,
        "detail": reason.detail.replace("\x00", "")[:1000],
        "received_at": envelope.received_at,
    }


def _keep(session: Session, accepted: Sequence[Accepted], profiles: Mapping[str, InForce]) -> None:
    """In the order in which they came; of what is there already nothing follows."""
    accepted = sorted(accepted, key=lambda one: one[0].id)  # as any other writer does: no two wait for each other
    rows = [_raw(device, envelope, arrivals) for device, envelope, arrivals in accepted]
    fresh = insert_many_new(session, RawMessage, rows, key="digest")
    touched: dict[str, list[datetime]] = defaultdict(list)
    for (device, envelope, arrivals), row in zip(accepted, rows, strict=True):
        for arrival in arrivals if row["digest"] in fresh else []:
            if arrival.reading.channel is Channel.PRESENCE and not envelope.retain:
                device.online, device.online_at = arrival.reading.online, envelope.received_at
            elif arrival.reading.channel is Channel.TELEMETRY:
                at, _ = placed_at(arrival, profiles[device.id].at(arrival.received_at))
                touched[device.id] += [at] if at else []
    last = {device.id: (device, envelope.received_at) for device, envelope, _ in sorted(accepted, key=_received)}
    for device, heard_at in (last[device_id] for device_id in sorted(touched) if touched[device_id]):
        first = min(touched[device.id])
        device.last_message_at = max(heard_at, device.last_message_at or heard_at)
        device.dirty_from = min(first, device.dirty_from or first)
        flag_modified(device, "dirty_from")  # written even if equal: a fold beside us may just have cleared it


def _received(accepted: Accepted) -> datetime:
    return accepted[1].received_at


def _raw(device: Device, envelope: Envelope, arrivals: Sequence[Arrival]) -> dict[str, Any]:
    """A message that names itself is the same wherever it is delivered again; others are told apart by when and how they
    came. A number alone is no name, for it begins anew with every start."""
    named = any(names(arrival.reading) for arrival in arrivals)
    own = b"" if named else f"{envelope.received_at.isoformat()} {envelope.retain:d}{envelope.backlog:d}".encode()
    digest = hashlib.sha256(b"\0".join((envelope.topic.encode(), envelope.payload, own))).hexdigest()
    return {
        "device_id": device.id,
        "digest": digest,
        "received_at": envelope.received_at,
        "topic": envelope.topic,
        "payload": envelope.payload,
        "retain": envelope.retain,
        "backlog": envelope.backlog,
    }


def fold_devices(session: Session, *, now: datetime, limit: int = BATCH_DEVICES) -> int:
    """Bring sessions and segments of devices up to `now`; returns how many have no message left that came later.

    Each device's row is locked while it is folded; another worker passes it by.
    """
    open_run = select(UsageSession.device_id).where(UsageSession.ends_at.is_(None))
    stale = Device.id.in_(open_run) & (Device.folded_at <= now - CATCH_UP)
    waiting = (
        select(Device)
        .where(or_(Device.dirty_from.is_not(None), stale))
        .order_by(Device.folded_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.scalars(waiting).all()
    for device in rows:
        _fold(session, device, now)
    return sum(device.dirty_from is None for device in rows)


def _fold(session: Session, device: Device, now: datetime) -> None:
    profiles = queries.profiles_of(session, device.id)
    samples = _samples(session, device, profiles, now)
    device.folded_at = now
    if device.last_message_at is None or device.last_message_at <= now:
        device.dirty_from = None  # else ingest stored one since the caller looked at the clock: the next fold is for that
    if not samples:
        return
    runs, _ = fold(samples, profiles, now=now)
    _replace_sessions(session, device, runs, samples[0].at)
    _replace_segments(session, device, segments(samples, runs, profiles, now=now), samples[0].at)
    _remember_latest(session, device, profiles.at(now), samples, runs)
    session.flush()
    _correct_uses(session, device.resource_id, since=samples[0].at, now=now)


def _samples(session: Session, device: Device, profiles: InForce, now: datetime) -> list[Sample]:
    """The device's samples from a stable point on. The first is no heartbeat, for that repeats what came before it."""
    before = device.dirty_from or device.last_message_at or now
    while True:
        start = queries.stable_point(session, device.id, profiles, before=before)
        placed, _ = place(_arrivals_and_firsts(session, device, profiles, since=start), profiles, until=now)
        samples = [sample for sample in placed if sample.at >= start]
        if not (samples and samples[0].beats and queries.heard_before(session, device.id, start)):
            return samples
        before = start - (before - start)


def _arrivals_and_firsts(session: Session, device: Device, profiles: InForce, *, since: datetime) -> list[Arrival]:
    """Readings that came from `since` on; where one came late, also those of a day before among which its first may be."""
    found = _arrivals(session, device, profiles, since=since)
    skew = min(one.span("max_skew") for one in profiles.every)
    times = [(a.received_at, a.reading.measured_at) for a in found if a.reading.measured_at is not None]
    told = min((at for received_at, at in times if received_at - at > skew), default=since)
    if told >= since:
        return found
    future = max(one.span("max_future") for one in profiles.every)
    return _arrivals(session, device, profiles, since=max(told - future, since - BACKLOG_REACH))


def _arrivals(session: Session, device: Device, profiles: InForce, *, since: datetime) -> list[Arrival]:
    """Every reading that can lie at or after `since`: none is placed later than it was received."""
    envelopes = queries.messages_of(session, device.id, since=since)
    needs_birth = any(families.needs_birth(one.family, one.mapping) for one in profiles.every)
    if needs_birth:
        envelopes = [*queries.births_of(session, device.id, before=since), *envelopes]
    found: list[Arrival] = []
    unknown: datetime | None = None
    for envelope, told in followed(envelopes, profiles):
        lacks = told.reason is Reason.UNKNOWN_ALIAS if isinstance(told, Rejected) else any(one.after_hole for one in told)
        unknown = envelope.received_at if lacks else unknown
        if envelope.received_at >= since and not isinstance(told, Rejected):
            found += [arrived(envelope, one) for one in told]
    if needs_birth:
        _remember_presence(device, found)
        _want_birth(device, unknown)
    return found


def _want_birth(device: Device, unknown: datetime | None) -> None:
    """It last said what it had not introduced, or left something out, after it was last asked."""
    if unknown is not None and (device.birth_asked_at is None or unknown > device.birth_asked_at):
        device.birth_wanted_at = device.birth_wanted_at or unknown


def _remember_presence(device: Device, arrivals: Sequence[Arrival]) -> None:
    """Of a family whose births and deaths mean something only after others."""
    said = [one for one in arrivals if one.reading.channel is Channel.PRESENCE and not one.reading.metric]
    if said and (device.online_at is None or said[-1].received_at >= device.online_at):
        device.online, device.online_at = said[-1].reading.online, said[-1].received_at


def _replace_sessions(session: Session, device: Device, runs: Iterable[Run], since: datetime) -> None:
    session.execute(delete(UsageSession).where(UsageSession.device_id == device.id, UsageSession.starts_at >= since))
    rows = [
        {
            "id": new_id("use"),
            "device_id": device.id,
            "resource_id": device.resource_id,
            "starts_at": run.start,
            "ends_at": run.end,
            "until": run.until,
            "confirmed_s": int(run.confirmed_s),
            "unverified_s": int(run.unverified_s),
            "energy_wh": round(run.energy_wh),
            "end_reason": run.end_reason,
            "grade": run.grade,
            "flags": list(run.flags),
        }
        for run in runs
    ]
    if rows:
        session.execute(insert(UsageSession), rows)


def _replace_segments(session: Session, device: Device, found: Sequence[Segment], since: datetime) -> None:
    mine = StateSegment.device_id == device.id
    before = session.scalar(select(StateSegment).where(mine, StateSegment.starts_at < since, StateSegment.ends_at >= since))
    if before and not before.bridged and found and found[0] == Segment(Slot(since, found[0].slot.end), before.state):
        since = before.starts_at  # one stretch stays one row, however often a fold begins within it
        found = [Segment(Slot(since, found[0].slot.end), before.state), *found[1:]]
    session.execute(delete(StateSegment).where(mine, StateSegment.starts_at >= since))
    session.execute(update(StateSegment).where(mine, StateSegment.ends_at > since).values(ends_at=since))
    rows = [
        {
            "device_id": device.id,
            "resource_id": device.resource_id,
            "starts_at": piece.slot.start,
            "ends_at": piece.slot.end,
            "state": piece.state,
            "bridged": piece.bridged,
        }
        for piece in found
    ]
    if rows:
        session.execute(insert(StateSegment), rows)


def _remember_latest(session: Session, device: Device, profile: Profile, samples: Sequence[Sample], runs: Sequence[Run]) -> None:
    last = samples[-1]
    open_run = runs[-1] if runs and runs[-1].state is not SessionState.CLOSED else None
    recent = [sample for sample in samples if last.at - sample.at <= timedelta(hours=1) and sample.power_w is not None]
    step = max(1, len(recent) // WATTS_SHOWN)
    row = session.get(LatestSample, device.id)
    if row is None:
        row = LatestSample(device_id=device.id)
        session.add(row)
    row.resource_id, row.at = device.resource_id, last.at
    row.power_w = round(recent[-1].power_w) if recent and recent[-1].power_w is not None else None
    row.in_use_since = open_run.start if open_run else None
    row.stale_after_s = round(profile.stale_after)
    row.power_series = [round(sample.power_w, 1) for sample in recent[::step] if sample.power_w is not None]


def confirm_uses(session: Session, *, now: datetime, limit: int = 200) -> int:
    """Decide what ended bookings really used; returns how many were decided."""
    rows = queries.bookings_to_confirm(session, now=now, limit=limit)
    for row in rows:
        write_use(session, row, measured_use(session, row), None, now)
    return len(rows)


def _correct_uses(session: Session, resource_id: str, *, since: datetime, now: datetime) -> None:
    """Late data may change what was decided: then a new row points back to the old one."""
    decided = session.scalars(
        select(Booking)
        .where(Booking.resource_id == resource_id, Booking.ends_at > since - OVERRUN_MAX)
        .where(Booking.id.in_(select(ConfirmedUse.booking_id)))
    ).all()
    for row in decided:
        before = queries.use_of_booking(session, row.id)
        use = measured_use(session, row)
        if before is not None and differs(before, row, use):
            write_use(session, row, use, before, now)
