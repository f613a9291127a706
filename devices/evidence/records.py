"""What is hashed and signed, byte for byte: messages, a device's day, the seal of a day.

Each is one line of JSON without blanks, as docs/evidence.md tells, so that anyone can write it again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import Any

import orjson

from devices.evidence import merkle
from devices.readings import Envelope

FIRST = "0" * 64
"""What the first seal names as the one before it."""


def instant(at: datetime) -> str:
    """To the microsecond, in UTC.

    >>> instant(datetime(2026, 3, 10, 9, tzinfo=UTC))
    '2026-03-10T09:00:00.000000Z'
    """
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def bounds(day: date) -> tuple[datetime, datetime]:
    """From midnight to midnight, UTC."""
    start = datetime.combine(day, time(), UTC)
    return start, start + timedelta(days=1)


def message_leaf(device_id: str, message: Envelope) -> bytes:
    """The hashed leaf of a message: its device, receipt, topic, the digest of its payload, and how the broker handed it on."""
    payload = sha256(message.payload).hexdigest()
    told = [device_id, instant(message.received_at), message.topic, payload, message.retain, message.backlog]
    return merkle.leaf(orjson.dumps(told))


@dataclass(frozen=True, slots=True)
class DayRecord:
    """A device's messages of a day (UTC, by receipt) under one root. Those that were stored late are in a later `number`."""

    device_id: str
    day: date
    number: int
    count: int
    total: int
    """Of the device's messages under this and all records before it, so that none can be left out unseen."""
    root: str
    """Hexadecimal."""
    thresholds: str
    """Digest of what was in force up to the end of that day."""

    def leaf(self) -> bytes:
        told = [self.device_id, self.day.isoformat(), self.number, self.count, self.total, self.root, self.thresholds]
        return merkle.leaf(orjson.dumps(told))


Versions = Sequence[tuple[datetime, Mapping[str, Any]]]
"""Thresholds since when, oldest first, as they are stored."""


def thresholds_digest(versions: Versions, day: date) -> str:
    """Of those that began before the day's end; names in order."""
    known = [[instant(since), dict(profile)] for since, profile in versions if since < bounds(day)[1]]
    return sha256(orjson.dumps(known, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True)
class Seal:
    """All records of a day under one root, tied to the seal before."""

    number: int
    day: date
    previous: str
    """The digest of the one before, FIRST where there is none."""
    records: int
    root: str
    key: str
    """The public key that signs it, hexadecimal."""

    def body(self) -> bytes:
        """What is signed."""
        return orjson.dumps({
            "v": 1, "number": self.number, "day": self.day.isoformat(), "previous": self.previous, "records": self.records,
            "root": self.root, "key": self.key,
        })  # fmt: skip

    def digest(self) -> str:
        return sha256(self.body()).hexdigest()


@dataclass(frozen=True, slots=True)
class SignedSeal:
    seal: Seal
    signature: str
    """Hexadecimal."""
