"""Folds a recording without a database: what `pilotbench replay` answers."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from devices.folding import followed
from devices.placing import Arrival, arrived, place
from devices.profile import Profile
from devices.readings import Envelope, Rejected
from devices.sessions import Session, SessionState, fold
from marketplace.refusals import Refusal

LONGEST_RECORDING = 5_000_000
"""Lines; a year of one device at a message every seven seconds."""


class BadRecording(Refusal):
    """A line that is not what a recording holds. `line` counts from 1, `reason` says what is wrong."""

    code = "bad_recording"


@dataclass(frozen=True, slots=True)
class Replay:
    """What a recording comes to."""

    sessions: list[Session]
    notes: list[str]
    rejected: list[str]

    def as_json(self) -> dict[str, Any]:
        """The shape of contract.md."""
        return {"sessions": [_shape(session) for session in self.sessions], "notes": self.notes}


def _shape(session: Session) -> dict[str, Any]:
    open_state = None if session.state is SessionState.CLOSED else session.state
    return {
        "start": _instant(session.start),
        "end": _instant(session.end) if session.end else None,
        "confirmed_s": _number(session.confirmed_s),
        "unverified_s": _number(session.unverified_s),
        "energy_wh": _number(round(session.energy_wh, 3)),
        "end_reason": session.end_reason.value if session.end_reason else None,
        "state": (open_state or SessionState.CLOSED).value,
        "flags": list(session.flags),
    }


def _instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _number(value: float) -> float | int:
    return int(value) if value == int(value) else round(value, 3)


def replay(lines: Iterable[str | bytes], profile: Profile, until: datetime | None = None) -> Replay:
    """Sessions and notes of a recording as of `until` (default: the last time of receipt). Raises: BadRecording."""
    arrivals, rejected, last_at = read_recording(lines, profile)
    now = until or last_at
    samples, notes = place(arrivals, profile, until=now)
    sessions, more = fold(samples, profile, now=now)
    return Replay(sessions, sorted(notes | more), rejected)


def read_recording(lines: Iterable[str | bytes], profile: Profile) -> tuple[list[Arrival], list[str], datetime]:
    """Every reading of a recording as it arrived, why messages were turned away, and when the last one came,
    whatever it said. Raises: BadRecording."""
    envelopes: list[tuple[int, Envelope]] = []
    last_at = datetime.min.replace(tzinfo=UTC)
    for number, line in enumerate(lines, start=1):
        if number > LONGEST_RECORDING:
            raise BadRecording(line=number, reason=f"more than {LONGEST_RECORDING} lines: split the recording")
        if not line.strip():
            continue
        record = _record(number, line)
        payload, received_at = _payload(number, record), _received(number, record)
        last_at = max(last_at, received_at)
        marks = {name: record.get(name) is True for name in ("retain", "backlog", "historical")}
        envelopes.append((number, Envelope(str(record.get("topic", "")), payload, received_at, **marks)))
    arrivals, rejected = _followed(envelopes, profile)
    return arrivals, rejected, last_at


def _followed(envelopes: Sequence[tuple[int, Envelope]], profile: Profile) -> tuple[list[Arrival], list[str]]:
    """In order of receipt, whatever the order of the lines; of one moment in the order of what they say."""
    ordered = sorted(envelopes, key=lambda one: (one[1].received_at, one[1].topic, one[1].payload))
    lines = {id(envelope): number for number, envelope in ordered}
    arrivals: list[Arrival] = []
    rejected: dict[int, str] = {}
    for envelope, found in followed((one for _, one in ordered), profile):
        if isinstance(found, Rejected):
            number = lines[id(envelope)]
            rejected[number] = f"line {number}: {found.reason.value} {found.detail}".strip()
        else:
            arrivals += [arrived(envelope, told) for told in found]
    return arrivals, [rejected[number] for number in sorted(rejected)]


def _record(number: int, line: str | bytes) -> Mapping[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadRecording(line=number, reason=f"not JSON ({error})") from error
    if not isinstance(record, dict):
        raise BadRecording(line=number, reason="not a JSON object")
    return record


def _payload(number: int, record: Mapping[str, Any]) -> bytes:
    coded, plain = record.get("payload_b64"), record.get("payload")
    try:
        if isinstance(coded, str):
            return base64.b64decode(coded, validate=True)
    except ValueError as error:
        raise BadRecording(line=number, reason="payload_b64 is not base64") from error
    if not isinstance(plain, str):
        raise BadRecording(line=number, reason="neither payload nor payload_b64 is a text")
    return plain.encode()


def _received(number: int, record: Mapping[str, Any]) -> datetime:
    try:
        at = datetime.fromisoformat(str(record.get("received_at")))
    except ValueError as error:
        raise BadRecording(line=number, reason="received_at is not a time such as 2026-03-10T01:00:00Z") from error
    if at.tzinfo is None:
        raise BadRecording(line=number, reason="received_at has no offset from UTC")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise BadRecording(line=number, reason="received_at lies outside the calendar") from error
