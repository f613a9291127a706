"""Writes of what messages come to: fold devices that were heard, confirm uses. Each may be repeated."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import dropwhile
from time import monotonic

from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from booking.lines import queries as lines
from booking.tables import Booking
from devices import queries
from devices.codecs import families
from devices.confirming import differs, measured_use, write_use
from devices.discrepancies.actions import Folded, Storable, keep_sealed
from devices.discrepancies.queries import begin_of_runs
from devices.folding import followed
from devices.live.queries import SHOWN_FOR, WATTS_SHOWN
from devices.matching import OVERRUN_MAX
from devices.placing import BACKLOG_REACH, VALUE_KEPT, Arrival, Sample, arrived, place
from devices.profile import InForce, Profile
from devices.readings import Channel, Reason, Rejected
from devices.segments import Segment, segments
from devices.sessions import Session as Run
from devices.sessions import SessionState, fold
from devices.tables import (
    ConfirmedUse,
    Device,
    LatestSample,
    StateSegment,
    UsageSession,
)
from marketplace.collector import COLLECTOR
from marketplace.ids import new_id
from marketplace.slot import Slot, subtract

CATCH_UP = timedelta(seconds=30)
"""How often an open session is looked at again although nothing new came."""

FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
BATCH_DEVICES, FOLD_S = 50, 0.5


def fold_devices(session: Session, *, now: datetime, limit: int = BATCH_DEVICES) -> int:
    """Bring sessions and segments of devices up to `now`; returns how many have no message left that came later.

    Each device's row is locked while it is folded; another worker passes it by. What new messages would wait for ends after
    FOLD_S.
    """
    until = monotonic() + FOLD_S
    open_run = select(UsageSession.device_id).where(UsageSession.ends_at.is_(None))
    stale = Device.id.in_(open_run) & (Device.folded_at <= now - CATCH_UP)
    waiting = (
        select(Device)
        .where(or_(Device.dirty_from.is_not(None), stale))
        .order_by(Device.folded_at.nulls_first())
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    folded, touched = 0, dict[str, datetime]()
    for device in session.scalars(waiting).all():
        if since := _fold(session, device, now):
            touched[device.resource_id] = min(since, touched.get(device.resource_id, since))
        folded += device.dirty_from is None
        if monotonic() > until:
            break
    _correct_uses(session, touched, now=now)
    return folded


def _fold(session: Session, device: Device, now: datetime) -> datetime | None:
    """Since when its states may be others than before; None where it said nothing."""
    profiles = queries.profiles_of(session, device.id)
    with COLLECTOR.at_rest():
        samples, arrivals = _samples(session, device, profiles, now)
    device.folded_at = now
    if device.last_message_at is None or device.last_message_at <= now:
        device.dirty_from = None  # else ingest stored one since the caller looked at the clock: the next fold is for that
    if not samples:
        return None
    runs, _ = fold(samples, profiles, now=now)
    folded = Folded(samples, arrivals, runs, segments(samples, runs, profiles, now=now), profiles)
    storable = keep_sealed(session, device, folded, now=now)
    _replace_sessions(session, device, storable, samples[0].at)
    _replace_segments(session, device, storable, samples[0].at)
    _remember_latest(session, device, profiles.at(now), samples, runs)
    session.flush()
    return samples[0].at


def _samples(session: Session, device: Device, profiles: InForce, now: datetime) -> tuple[list[Sample], list[Arrival]]:
    """The device's samples from a stable point on, behind what is archived: what rests on that stays as it is. The first is no
    heartbeat, for that repeats what came before it. And the arrivals among which they are."""
    before, floor = device.dirty_from or device.last_message_at or now, queries.fold_floor(session, device)
    while True:
        stable = begin_of_runs(session, device.id, queries.stable_point(session, device.id, profiles, before=before))
        start = max(stable, floor or stable)
        arrivals = _arrivals_from(session, device, profiles, start)
        placed, _ = place(arrivals, profiles, until=now)
        samples = [sample for sample in placed if sample.at >= start]
        if start > stable:
            return list(dropwhile(lambda one: one.beats, samples)), arrivals
        if not (samples and samples[0].beats and queries.heard_before(session, device.id, start)):
            return samples, arrivals
        before = start - (before - start)


def _arrivals_from(session: Session, device: Device, profiles: InForce, start: datetime) -> list[Arrival]:
    """Also those before `start` by which another series of the device, if it has several, still counts then."""
    heard = start - max(one.span("stale_after") for one in profiles.every)
    found = _arrivals_and_firsts(session, device, profiles, since=heard)
    if len({one.reading.metric for one in found if one.reading.channel is Channel.TELEMETRY}) <= 1:
        return found
    return _arrivals_and_firsts(session, device, profiles, since=heard - VALUE_KEPT)


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
    for envelope, told in followed(envelopes, profiles, since=since):
        if envelope.received_at < since:
            continue
        lacks = told.reason is Reason.UNKNOWN_ALIAS if isinstance(told, Rejected) else any(one.after_hole for one in told)
        unknown = envelope.received_at if lacks else unknown
        if not isinstance(told, Rejected):
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


def _replace_sessions(session: Session, device: Device, found: Storable, since: datetime) -> None:
    for gone in subtract([Slot(since, FOREVER)], found.kept_sessions):
        there = (UsageSession.starts_at >= gone.start, UsageSession.starts_at < gone.end)
        session.execute(delete(UsageSession).where(UsageSession.device_id == device.id, *there))
    rows = [
        {**asdict(run), "flags": list(run.flags), "id": new_id("use"), "device_id": device.id, "resource_id": device.resource_id}
        for run in found.sessions
    ]
    if rows:
        session.execute(insert(UsageSession), rows)


def _replace_segments(session: Session, device: Device, storable: Storable, since: datetime) -> None:
    mine, found = StateSegment.device_id == device.id, storable.segments
    before = session.scalar(select(StateSegment).where(mine, StateSegment.starts_at < since, StateSegment.ends_at >= since))
    sealed = before and any(slot.start <= before.starts_at and before.ends_at <= slot.end for slot in storable.kept_segments)
    if (
        before
        and not sealed
        and not before.bridged
        and found
        and found[0] == Segment(Slot(since, found[0].slot.end), before.state)
    ):
        since = before.starts_at  # one stretch stays one row, however often a fold begins within it
        found = [Segment(Slot(since, found[0].slot.end), before.state), *found[1:]]
    for gone in subtract([Slot(since, FOREVER)], storable.kept_segments):
        there = (StateSegment.starts_at >= gone.start, StateSegment.starts_at < gone.end)
        session.execute(delete(StateSegment).where(mine, *there))
    if not sealed:
        reaching = (StateSegment.starts_at < since, StateSegment.ends_at > since)
        session.execute(update(StateSegment).where(mine, *reaching).values(ends_at=since))
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
    recent = [(one.at, one.power_w) for one in samples if last.at - one.at <= SHOWN_FOR and one.power_w is not None]
    step = -(-len(recent) // WATTS_SHOWN) or 1
    row = session.get(LatestSample, device.id)
    if row is None:
        row = LatestSample(device_id=device.id)
        session.add(row)
    row.resource_id, row.at = device.resource_id, last.at
    row.power_w = round(recent[-1][1]) if recent else None
    row.in_use_since = open_run.start if open_run else None
    row.stale_after_s = round(profile.stale_after)
    row.power_series = [[(last.at - at).total_seconds(), round(power_w, 1)] for at, power_w in recent[::step]]


def confirm_uses(session: Session, *, now: datetime, limit: int = 200) -> int:
    """Decide what ended bookings really used; returns how many were decided."""
    rows = queries.bookings_to_confirm(session, now=now, limit=limit)
    for row in rows:
        write_use(session, row, measured_use(session, row), None, now)
    return len(rows)


def _correct_uses(session: Session, touched: Mapping[str, datetime], *, now: datetime) -> None:
    """Late data may change what was decided of the resource and of the lines above it: then a new row points back to the old.

    `touched`: since when, by resource. The bookings are locked in one order: of two workers that fold two stations of a line the
    second sees what the first has written.
    """
    since: dict[str, datetime] = {}
    for resource_id, at in touched.items():
        for one in (resource_id, *lines.lines_above(session, resource_id)):
            since[one] = min(at, since.get(one, at))
    if not since:
        return
    decided = (
        select(Booking)
        .where(or_(*(and_(Booking.resource_id == one, Booking.ends_at > at - OVERRUN_MAX) for one, at in since.items())))
        .where(Booking.id.in_(select(ConfirmedUse.booking_id)))
        .order_by(Booking.id)
    )
    for row in session.scalars(decided.with_for_update(key_share=True, of=Booking)).all():
        before = queries.use_of_booking(session, row.id)
        use = measured_use(session, row)
        if before is not None and differs(before, row, use):
            write_use(session, row, use, before, now)
