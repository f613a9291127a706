"""Writes of the archive: what a file holds, and the messages of a day out of the database once the file has proven its roots."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import groupby

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from devices import queries as devices
from devices.archive import queries
from devices.archive.files import EPOCH, Numbered, Whole
from devices.archive.tables import ArchivedDay, ArchiveFile
from devices.evidence import merkle
from devices.evidence import queries as evidence
from devices.evidence.records import bounds, message_leaf
from devices.evidence.tables import EvidenceDay
from devices.readings import Envelope
from devices.tables import Device, RawMessage, RejectedCount, RejectedMessage
from marketplace.slot import Slot

ROWS_AT_ONCE = 5000
"""Messages that one transaction takes out of the database."""
FORGOTTEN_AT_ONCE = 2000
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Heard:
    """A device's day as the database has it: its sealed records, and the messages."""

    records: Sequence[EvidenceDay]
    messages: Sequence[Envelope]


@dataclass(frozen=True, slots=True)
class Proven:
    """A device's day as a file has it."""

    roots: Mapping[int, str]
    """Of each record with messages, by its number."""
    messages: frozenset[Envelope]


class Moved(StrEnum):
    """How far a device's day has come out of the database."""

    PARTLY = "partly"
    WHOLLY = "wholly"
    NEEDED = "needed"
    """A fold still rests on it: nothing was taken out."""
    DIFFERENT = "different"
    """The file does not prove the sealed roots: nothing was taken out."""


def read_out(session: Session, *, device_id: str, day: date, now: datetime) -> Heard | None:
    """What is to be archived of a device; None while a fold still rests on it."""
    device = devices.get_device(session, device_id)
    if queries.is_needed(session, device, day, now=now):
        return None
    messages = devices.messages_within(session, device_id, Slot(*bounds(day)))
    return Heard(evidence.days_of(session, device_id, days=[day]), messages)


def in_order(device_id: str, heard: Heard) -> list[Numbered] | None:
    """The sealed messages in the order of their leaves; None where one is not there as it was sealed, or none is sealed."""
    stored = {message_leaf(device_id, one): one for one in heard.messages}
    leaves = [(row.number, leaf) for row in heard.records for leaf in merkle.split(row.leaves)]
    if not leaves or any(leaf not in stored for _, leaf in leaves):
        return None
    return [(number, stored[leaf]) for number, leaf in leaves]


def proven(device_id: str, said: Iterable[Numbered]) -> Proven:
    """What rows of a file prove."""
    roots: dict[int, str] = {}
    messages: list[Envelope] = []
    for number, some in groupby(said, key=lambda one: one[0]):
        mine = [one for _, one in some]
        roots[number] = merkle.root([message_leaf(device_id, one) for one in mine]).hex()
        messages += mine
    return Proven(roots, frozenset(messages))


def pass_by(session: Session, *, device_id: str, day: date, now: datetime) -> None:
    """What does not fit its seal stays in the database; days after it may still be archived. Nothing is folded there any more."""
    _close(devices.lock_device(session, device_id), day)
    session.flush()


def _close(device: Device, day: date) -> None:
    end = bounds(day)[1]
    device.archived_until = max(end, device.archived_until or end)


def record(session: Session, *, file: Whole, born: frozenset[str], now: datetime) -> None:
    """A file that is written; `born` are devices of whose day it holds births."""
    figures = {"devices": len(file.messages), "messages": sum(file.messages.values()), "size": file.size, "digest": file.digest}
    session.add(ArchiveFile(name=file.name, day=file.day, written_at=now, **figures))
    session.flush()
    rows = [
        {"device_id": one, "day": file.day, "file": file.name, "messages": count, "births": one in born, "moved_at": None}
        for one, count in file.messages.items()
    ]
    session.execute(insert(ArchivedDay), rows)


def move_out(session: Session, *, device_id: str, day: date, found: Proven, now: datetime) -> Moved:
    """Take what `found` has of a device's day out of the database, as much as goes at once; no fold reaches back to it then.

    Births stay, by which later messages are read, until a later birth takes their place.
    """
    device = devices.lock_device(session, device_id)
    begun = device.archived_until is not None and device.archived_until >= bounds(day)[1]
    if not begun and queries.is_needed(session, device, day, now=now):
        return Moved.NEEDED
    if found.roots != {row.number: row.root for row in evidence.days_of(session, device_id, days=[day]) if row.count}:
        return Moved.DIFFERENT
    _close(device, day)
    births = frozenset(devices.births_of(session, device_id, before=bounds(day)[1]))
    gone = [digest for digest, one in _stored(session, device_id, Slot(*bounds(day))) if one in found.messages - births]
    _delete(session, device_id, gone[:ROWS_AT_ONCE])
    if len(gone) > ROWS_AT_ONCE:
        return Moved.PARTLY
    _delete(session, device_id, _outlived(session, device_id, day, births))
    session.get_one(ArchivedDay, (device_id, day)).moved_at = now
    session.flush()
    return Moved.WHOLLY


def _stored(session: Session, device_id: str, within: Slot) -> list[tuple[str, Envelope]]:
    """With the digest that each row is known by."""
    then = (RawMessage.received_at >= within.start, RawMessage.received_at < within.end)
    rows = session.execute(select(RawMessage.digest, *devices.ENVELOPE).where(RawMessage.device_id == device_id, *then))
    return [(row.digest, Envelope(*row[1:])) for row in rows]


def _outlived(session: Session, device_id: str, day: date, births: frozenset[Envelope]) -> list[str]:
    """Births of archived days before this one that were kept, and are not needed any more."""
    found: list[str] = []
    for digest, one in _stored(session, device_id, Slot(EPOCH, bounds(day)[0])):
        then = one.received_at.astimezone(UTC).date()
        row = queries.find_day(session, device_id, then)
        if one in births or row is None or row.moved_at is None:
            continue
        leaf = message_leaf(device_id, one)
        sealed = evidence.days_of(session, device_id, days=[then])
        if any(leaf in merkle.split(held.leaves) for held in sealed):
            found.append(digest)
    return found


def _delete(session: Session, device_id: str, digests: Sequence[str]) -> None:
    for place in range(0, len(digests), CHUNK):
        some = digests[place : place + CHUNK]
        session.execute(delete(RawMessage).where(RawMessage.device_id == device_id, RawMessage.digest.in_(some)))


def forget_rejected(session: Session, *, keep: timedelta, now: datetime) -> int:
    """The oldest rejected messages beyond `keep`, as many as go at once; how many. They stay counted, by device and reason."""
    old = select(RejectedMessage.id, RejectedMessage.device_key, RejectedMessage.reason)
    oldest = old.where(RejectedMessage.received_at < now - keep).order_by(RejectedMessage.received_at).limit(FORGOTTEN_AT_ONCE)
    rows = session.execute(oldest).all()
    known = devices.devices_by_key(session, {key for _, key, _ in rows})
    for (key, reason), count in Counter((key if key in known else "", reason) for _, key, reason in rows).items():
        row = session.get(RejectedCount, (key, reason))
        if row is None:
            session.add(RejectedCount(device_key=key, reason=reason, count=count))
        else:
            row.count += count
    if rows:
        session.execute(delete(RejectedMessage).where(RejectedMessage.id.in_([one for one, _, _ in rows])))
    session.flush()
    return len(rows)
