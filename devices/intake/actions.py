"""Writes of what was heard: a batch of messages, those that are turned away, the heartbeat, and gaps that the broker admitted.

Each may be repeated: delivered twice, a message is stored once.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from devices import queries
from devices.codecs import families
from devices.denials import Denial
from devices.ingest import Batch
from devices.pace import A_SECOND, BURST, Pace
from devices.placing import Arrival, arrived, names, placed_at
from devices.profile import InForce, Profile
from devices.readings import Channel, Envelope, Reason, Rejected, Told
from devices.tables import Device, DeviceState, Heartbeat, IngestGap, RawMessage, RejectedMessage
from marketplace.ids import new_id
from marketplace.upsert import insert_many_new, insert_new

KEPT_BYTES = 1024
DENIED = {
    Reason.FOREIGN_TOPIC: "the broker lets a device write below its own name only",
    Reason.WRONG_LOGIN: "the broker knows no such name and secret",
}
TOO_FAST = Rejected(Reason.RATE, f"more than {A_SECOND} messages a second, after {BURST} at once")
Accepted = tuple[Device, Envelope, list[Arrival]]
"""A message of a device and what it says."""


def store_batch(session: Session, batch: Batch, *, now: datetime, pace: Pace | None = None) -> None:
    """Everything in `batch`, so that it may be acknowledged once this is committed. Repeatable; `pace` is settled after it."""
    if pace:
        pace.begin()
    for lost_at in batch.lost_at:
        _record_gap(session, lost_at)
    if batch.envelopes:
        store(session, batch.envelopes, pace=pace)
    if batch.refused:
        store_unstorable(session, batch.refused)
    if batch.beat_at is not None:
        _record_beat(session, queries.INGEST, min(batch.beat_at, now))
    if batch.listening_at is not None:
        _record_beat(session, queries.LISTENER, batch.listening_at)
    session.flush()


def store_refusal(session: Session, *, now: datetime) -> None:
    """The broker did not let a worker in."""
    _record_beat(session, queries.REFUSED, now)


def _record_gap(session: Session, lost_at: datetime) -> None:
    """The broker forgot our session: between the last committed heartbeat and now messages may be missing."""
    since = queries.last_heartbeat(session)
    if since is not None and since < lost_at:
        reason = "the broker had lost the session"
        session.add(IngestGap(id=new_id("gap"), starts_at=since, ends_at=lost_at, reason=reason))


def _record_beat(session: Session, name: str, at: datetime) -> None:
    """Another worker may do the same at the same moment."""
    if not insert_new(session, Heartbeat, [{"name": name, "at": at}], key="name"):
        session.execute(update(Heartbeat).where(Heartbeat.name == name).values(at=at))


def store(session: Session, envelopes: Sequence[Envelope], *, pace: Pace | None = None) -> None:
    """Keep a batch of messages: what decodes as its device's, what does not as rejected with the reason, and so what comes faster
    than `pace` admits.

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
        if device.state is DeviceState.REVOKED and not envelope.backlog:  # a broker that asks keeps it for hours
            refused.append(_rejected(device.id, device.key, envelope, Rejected(Reason.UNKNOWN_DEVICE, "the device is revoked")))
            continue
        profile = profiles[device.id].at(envelope.received_at)
        arrivals = read(envelope, profile)
        if envelope.again and not _known_again(arrivals, profile):
            continue
        if pace and not _was_kept(envelope, arrivals, profile) and not pace.admits(device.key, envelope.received_at):
            arrivals = TOO_FAST
        if isinstance(arrivals, Rejected):
            refused.append(_rejected(device.id, device.key, envelope, arrivals))
        else:
            accepted.append((device, envelope, arrivals))
    _keep(session, accepted, profiles)
    if refused:
        session.execute(insert(RejectedMessage), refused)
    session.flush()


def _known_again(arrivals: list[Arrival] | Rejected, profile: Profile) -> bool:
    """Whether a message is told from its first delivery, and means the same after those that came since: a measurement with a
    name of its own, of a family in which each stands alone."""
    if isinstance(arrivals, Rejected) or families.needs_birth(profile.family, profile.mapping):
        return False
    return any(one.reading.channel is Channel.TELEMETRY and names(one.reading) for one in arrivals)


def _was_kept(envelope: Envelope, arrivals: list[Arrival] | Rejected, profile: Profile) -> bool:
    """Whether the broker or the device itself kept it for later, as its own time shows: what waited comes all at once."""
    if envelope.backlog or envelope.again or envelope.historical:
        return True
    if isinstance(arrivals, Rejected) or not arrivals:
        return False
    since = envelope.received_at - profile.span("max_skew")
    return all(one.historical or (one.reading.measured_at or envelope.received_at) < since for one in arrivals)


def store_unstorable(session: Session, envelopes: Sequence[Envelope]) -> None:
    """Keep as rejected what could not be stored for a reason that nobody foresaw, so that it stops no other."""
    reason = Rejected(Reason.UNSTORABLE, "could not be stored; the worker's log says why")
    keyed = ((families.device_key(envelope.topic), envelope) for envelope in envelopes)
    rows = [_rejected(None, key if isinstance(key, str) else "", envelope, reason) for key, envelope in keyed]
    session.execute(insert(RejectedMessage), rows)


def store_denials(session: Session, denials: Sequence[Denial]) -> None:
    """Count what the broker refused to its device; read twice, it is stored once. Only devices are put out by others."""
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
            "detail": denial.detail or DENIED.get(denial.reason, ""),
            "received_at": denial.at,
        }
        for denial in denials
        if denial.client in known or denial.reason is not Reason.TAKEN_OVER
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
    """In the order in which they came; of what is there already nothing follows, and of what comes twice the first counts."""
    accepted = sorted(accepted, key=_in_order)  # by device, as any other writer does: no two wait for each other
    rows = [_raw(device, envelope, arrivals) for device, envelope, arrivals in accepted]
    fresh = insert_many_new(session, RawMessage, rows, key="digest")
    touched: dict[str, list[datetime]] = defaultdict(list)
    for (device, envelope, arrivals), row in zip(accepted, rows, strict=True):
        is_new = row["digest"] in fresh
        fresh.discard(row["digest"])
        for arrival in arrivals if is_new else []:
            profile = profiles[device.id].at(arrival.received_at)
            if arrival.reading.channel is Channel.PRESENCE and not (envelope.retain or envelope.again):
                if not arrival.reading.metric or profile.counts(arrival.reading.metric):
                    device.online, device.online_at = arrival.reading.online, envelope.received_at
            elif arrival.reading.channel is Channel.TELEMETRY:
                at, _ = placed_at(arrival, profile)
                touched[device.id] += [at] if at else []
    last = {device.id: (device, envelope.received_at) for device, envelope, _ in sorted(accepted, key=_received)}
    for device, heard_at in (last[device_id] for device_id in sorted(touched) if touched[device_id]):
        device.last_message_at = max(heard_at, device.last_message_at or heard_at)
        _await_fold(device, touched[device.id])


def _await_fold(device: Device, touched: Sequence[datetime]) -> None:
    """From the first instant that is touched; what lies in archived days is never folded again."""
    if foldable := [at for at in touched if device.archived_until is None or at >= device.archived_until]:
        device.dirty_from = min(*foldable, device.dirty_from or foldable[0])
        flag_modified(device, "dirty_from")  # written even if equal: a fold beside us may just have cleared it


def _in_order(accepted: Accepted) -> tuple[str, datetime, bytes]:
    device, envelope, _ = accepted
    return device.id, envelope.received_at, envelope.payload


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
