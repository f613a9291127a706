"""The folder that evidence travels in: lines of JSON, read back with every problem named."""

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson

from devices.evidence.records import DayRecord, Seal, instant
from devices.profile import Profile, read_profile
from devices.readings import Envelope
from marketplace.refusals import Refusal

FORMAT = "pilotbench-evidence/1"
ABOUT, SEALS, DAYS, MESSAGES, SESSIONS = "evidence.json", "seals.jsonl", "days.jsonl", "messages.jsonl", "sessions.jsonl"
_T = TypeVar("_T")


class NoEvidence(Refusal):
    """A folder that holds no evidence, or a line in it that is none. `file`, `line` (0 for the whole), `reason`."""

    code = "no_evidence"


@dataclass(frozen=True, slots=True)
class SignedSeal:
    seal: Seal
    signature: str


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
    """`since` and `until` bound what is claimed, `heard_until` what the messages tell. Thresholds by device, oldest first."""

    since: datetime
    until: datetime
    heard_until: datetime
    thresholds: Mapping[str, list[tuple[datetime, Profile]]]


def seal_row(one: SignedSeal) -> dict[str, Any]:
    return {**orjson.loads(one.seal.body()), "signature": one.signature}


def read_seals(directory: Path) -> Iterator[SignedSeal]:
    return _rows(directory, SEALS, _seal)


def _seal(row: Mapping[str, Any]) -> SignedSeal:
    seal = Seal(
        int(row["number"]),
        date.fromisoformat(row["day"]),
        str(row["previous"]),
        int(row["records"]),
        str(row["root"]),
        str(row["key"]),
    )
    return SignedSeal(seal, str(row["signature"]))


def held_row(one: Held) -> dict[str, Any]:
    record = one.record
    return {
        "device": record.device_id, "day": record.day, "number": record.number, "count": record.count, "root": record.root,
        "seal": one.seal, "index": one.index, "path": [step.hex() for step in one.path],
    }  # fmt: skip


def read_days(directory: Path) -> Iterator[Held]:
    return _rows(directory, DAYS, _held)


def _held(row: Mapping[str, Any]) -> Held:
    day, path = date.fromisoformat(row["day"]), [bytes.fromhex(step) for step in row["path"]]
    record = DayRecord(str(row["device"]), day, int(row["number"]), int(row["count"]), str(row["root"]))
    return Held(record, int(row["seal"]), int(row["index"]), path)


def said_row(one: Said) -> dict[str, Any]:
    """As `pilotbench replay` reads a message, with whose it is."""
    message = one.message
    return {
        "device": one.device_id, "day": one.day, "number": one.number, "received_at": instant(message.received_at),
        "topic": message.topic, "payload_b64": base64.b64encode(message.payload).decode(), "retain": message.retain,
        "backlog": message.backlog,
    }  # fmt: skip


def read_messages(directory: Path) -> Iterator[Said]:
    return _rows(directory, MESSAGES, _said)


def _said(row: Mapping[str, Any]) -> Said:
    payload = base64.b64decode(row["payload_b64"], validate=True)
    message = Envelope(str(row["topic"]), payload, _instant(row["received_at"]), row["retain"] is True, row["backlog"] is True)
    return Said(str(row["device"]), date.fromisoformat(row["day"]), int(row["number"]), message)


def claimed_row(one: Claimed) -> dict[str, Any]:
    return {
        "device": one.device_id, "start": instant(one.start), "end": instant(one.end), "confirmed_s": one.confirmed_s,
        "unverified_s": one.unverified_s, "energy_wh": one.energy_wh, "end_reason": one.end_reason, "flags": list(one.flags),
    }  # fmt: skip


def read_sessions(directory: Path) -> Iterator[Claimed]:
    return _rows(directory, SESSIONS, _claimed)


def _claimed(row: Mapping[str, Any]) -> Claimed:
    return Claimed(
        str(row["device"]), _instant(row["start"]), _instant(row["end"]), int(row["confirmed_s"]), int(row["unverified_s"]),
        int(row["energy_wh"]), str(row["end_reason"]), tuple(row["flags"]),
    )  # fmt: skip


def about_row(about: About, thresholds: Mapping[str, list[tuple[datetime, dict[str, Any]]]]) -> dict[str, Any]:
    """With the thresholds as they were stored."""
    devices = [
        {"id": device_id, "thresholds": [{"valid_from": instant(at), "profile": profile} for at, profile in rows]}
        for device_id, rows in thresholds.items()
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
        thresholds = {
            str(device["id"]): [
                (_instant(one["valid_from"]), read_profile(_given(one["profile"]))) for one in device["thresholds"]
            ]
            for device in row["devices"]
        }
        return About(_instant(row["since"]), _instant(row["until"]), _instant(row["heard_until"]), thresholds)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoEvidence(file=ABOUT, line=0, reason=f"cannot be read ({error})") from error


def _given(profile: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in profile.items() if value is not None}


def _instant(text: str) -> datetime:
    """Raises: ValueError (no offset)."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return at


def _rows(directory: Path, name: str, read: Callable[[Mapping[str, Any]], _T]) -> Iterator[_T]:
    """Raises, while read: NoEvidence."""
    file = directory / name
    if not file.is_file():
        raise NoEvidence(file=name, line=0, reason="is missing")
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield read(orjson.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise NoEvidence(file=name, line=number, reason=f"cannot be read ({error})") from error
