"""The folder that evidence travels in: lines of JSON, read back with every problem named."""

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import orjson

from devices.evidence.records import DayRecord, Seal, SignedSeal, Versions, bounds, instant
from devices.profile import Profiles, stored_profile
from devices.readings import Envelope
from marketplace.refusals import Invalid, Refusal

FORMAT = "pilotbench-evidence/1"
ABOUT, SEALS, DAYS, MESSAGES, SESSIONS = "evidence.json", "seals.jsonl", "days.jsonl", "messages.jsonl", "sessions.jsonl"
_T = TypeVar("_T")
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, Invalid)


class NoEvidence(Refusal):
    """A folder that holds no evidence, or a line in it that is none. `file`, `line` (0 for the whole), `reason`."""

    code = "no_evidence"


@dataclass(frozen=True, slots=True)
class Held:
    """A record of a day with its place in its seal and the proof of it."""

    record: DayRecord
    seal: int
    index: int
    path: list[bytes]


@dataclass(frozen=True, slots=True)
class Said:
    """A message, and the record it belongs to."""

    device_id: str
    day: date
    number: int
    message: Envelope


@dataclass(frozen=True, slots=True)
class Claimed:
    """A session as it was stored."""

    device_id: str
    start: datetime
    end: datetime
    confirmed_s: int
    unverified_s: int
    energy_wh: int
    end_reason: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class About:
    """`since` and `until` bound what is claimed, `heard_until` what the messages tell; all are midnights, UTC."""

    since: datetime
    until: datetime
    heard_until: datetime
    versions: Mapping[str, Versions]
    """The thresholds of each device, oldest first, as they are stored."""

    def profiles(self, device_id: str) -> Profiles:
        return Profiles([(since, stored_profile(stored)) for since, stored in self.versions[device_id]])

    def settled(self, device_id: str) -> datetime:
        """A run that ended by then is over whatever was not heard yet: by the slowest of the device's thresholds."""
        slowest = (one.span("max_gap") + one.span("stale_after") + one.span("min_off") for one in self.profiles(device_id).every)
        return self.heard_until - max(slowest, default=timedelta())


def seal_row(one: SignedSeal) -> dict[str, Any]:
    return {**orjson.loads(one.seal.body()), "signature": one.signature}


def read_seals(directory: Path) -> Iterator[SignedSeal]:
    return _rows(directory, SEALS, _seal, seal_row)


def _seal(row: Mapping[str, Any]) -> SignedSeal:
    number, records = int(row["number"]), int(row["records"])
    seal = Seal(number, _day(row["day"]), str(row["previous"]), records, str(row["root"]), str(row["key"]))
    return SignedSeal(seal, str(row["signature"]))


def held_row(one: Held) -> dict[str, Any]:
    record = one.record
    return {
        "device": record.device_id, "day": record.day, "number": record.number, "count": record.count, "total": record.total,
        "root": record.root, "thresholds": record.thresholds, "seal": one.seal, "index": one.index,
        "path": [step.hex() for step in one.path],
    }  # fmt: skip


def read_days(directory: Path) -> Iterator[Held]:
    return _rows(directory, DAYS, _held, held_row)


def _held(row: Mapping[str, Any]) -> Held:
    counts = int(row["number"]), int(row["count"]), int(row["total"])
    record = DayRecord(str(row["device"]), _day(row["day"]), *counts, str(row["root"]), str(row["thresholds"]))
    return Held(record, int(row["seal"]), int(row["index"]), [bytes.fromhex(step) for step in row["path"]])


def said_row(one: Said) -> dict[str, Any]:
    """As `pilotbench replay` reads a message, with whose it is."""
    message = one.message
    return {
        "device": one.device_id, "day": one.day, "number": one.number, "received_at": instant(message.received_at),
        "topic": message.topic, "payload_b64": base64.b64encode(message.payload).decode(), "retain": message.retain,
        "backlog": message.backlog,
    }  # fmt: skip


def read_messages(directory: Path) -> Iterator[Said]:
    return _rows(directory, MESSAGES, _said, said_row)


def _said(row: Mapping[str, Any]) -> Said:
    payload = base64.b64decode(row["payload_b64"], validate=True)
    message = Envelope(str(row["topic"]), payload, _instant(row["received_at"]), row["retain"] is True, row["backlog"] is True)
    return Said(str(row["device"]), _day(row["day"]), int(row["number"]), message)


def claimed_row(one: Claimed) -> dict[str, Any]:
    return {
        "device": one.device_id, "start": instant(one.start), "end": instant(one.end), "confirmed_s": one.confirmed_s,
        "unverified_s": one.unverified_s, "energy_wh": one.energy_wh, "end_reason": one.end_reason, "flags": list(one.flags),
    }  # fmt: skip


def read_sessions(directory: Path) -> Iterator[Claimed]:
    return _rows(directory, SESSIONS, _claimed, claimed_row)


def _claimed(row: Mapping[str, Any]) -> Claimed:
    return Claimed(
        str(row["device"]), _instant(row["start"]), _instant(row["end"]), int(row["confirmed_s"]), int(row["unverified_s"]),
        int(row["energy_wh"]), str(row["end_reason"]), tuple(map(str, row["flags"])),
    )  # fmt: skip


def about_row(about: About) -> dict[str, Any]:
    devices = [
        {"id": device_id, "thresholds": [{"valid_from": instant(at), "profile": profile} for at, profile in rows]}
        for device_id, rows in about.versions.items()
    ]
    span = {"since": instant(about.since), "until": instant(about.until), "heard_until": instant(about.heard_until)}
    return {"format": FORMAT, **span, "devices": devices}


def read_about(directory: Path) -> About:
    """Raises: NoEvidence."""
    file = directory / ABOUT
    if not file.is_file():
        raise NoEvidence(file=ABOUT, line=0, reason="is missing; a folder of `pilotbench evidence` has it")
    try:
        row = orjson.loads(file.read_bytes())
        if row["format"] != FORMAT:
            raise NoEvidence(file=ABOUT, line=0, reason=f"is not in the format {FORMAT}")
        versions = {
            str(device["id"]): [(_instant(one["valid_from"]), dict(one["profile"])) for one in device["thresholds"]]
            for device in row["devices"]
        }
        about = About(_instant(row["since"]), _instant(row["until"]), _instant(row["heard_until"]), versions)
        for device_id in versions:
            about.profiles(device_id)
        if about_row(about) != row:
            raise NoEvidence(file=ABOUT, line=0, reason="is not written as it is")
        return about
    except UNREADABLE as error:
        raise NoEvidence(file=ABOUT, line=0, reason=f"cannot be read ({error})") from error


def _instant(text: str) -> datetime:
    """Raises: ValueError (no offset)."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return at


def _day(text: str) -> date:
    """Raises: ValueError, OverflowError (no day after it)."""
    day = date.fromisoformat(text)
    bounds(day)
    return day


def _rows(
    directory: Path, name: str, read: Callable[[Mapping[str, Any]], _T], write: Callable[[_T], dict[str, Any]]
) -> Iterator[_T]:
    """Each line must be as it is written: what another reader could take for something else is none.

    Raises, while read: NoEvidence.
    """
    file = directory / name
    try:
        lines = file.open("rb")
    except OSError as error:
        raise NoEvidence(file=name, line=0, reason=f"cannot be opened ({error.strerror})") from error
    with lines:
        for number, line in enumerate(lines, start=1):
            try:
                found = read(orjson.loads(line))
                same = orjson.dumps(write(found)) == line.strip()
            except UNREADABLE as error:
                raise NoEvidence(file=name, line=number, reason=f"cannot be read ({error})") from error
            if not same:
                raise NoEvidence(file=name, line=number, reason="is not written as such a line is")
            yield found
