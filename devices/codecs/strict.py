"""JSON with bounds: size, depth, finite numbers of sane size. Readers raise Unreadable; families.decode makes it a value."""

import math
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from devices.readings import Reason

PAYLOAD_LIMIT = 16 * 1024
TOPIC_LIMIT = 256
DEPTH_LIMIT = 12
LARGEST = 1e12
"""No counter or power of a machine comes near this (W, Wh)."""

EARLIEST, LATEST = 2000, 2100
"""A clock that shows a year outside was never set: it counts from 1970 at every start, and so repeats itself."""

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999, milliseconds. How far a clock is off is judged beside ours, not here."""


class Unreadable(ValueError):
    """A payload that does not say what its family says."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def read_object(payload: bytes) -> dict[str, Any]:
    """The JSON object in `payload`."""
    value = read_json(payload)
    if not isinstance(value, dict):
        raise Unreadable(Reason.SHAPE, "not a JSON object")
    return value


def read_json(payload: bytes, *, limit: int = PAYLOAD_LIMIT) -> Any:
    """The JSON value in `payload`, of at most `limit` bytes."""
    if len(payload) > limit:
        raise Unreadable(Reason.TOO_LARGE, f"{len(payload)} bytes, at most {limit}")
    if depth(payload) > DEPTH_LIMIT:
        raise Unreadable(Reason.TOO_DEEP, f"nested deeper than {DEPTH_LIMIT}")
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Unreadable(Reason.NOT_JSON, str(error)[:200]) from error


def depth(payload: bytes) -> int:
    """How deep brackets nest at most; brackets inside strings only make it larger. Where there are few, their number will do."""
    if (opened := payload.count(b"{") + payload.count(b"[")) <= DEPTH_LIMIT:
        return opened
    level = deepest = 0
    for byte in payload:
        if byte in b"{[":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"}]":
            level -= 1
    return deepest


def read_number(value: object, name: str) -> float | None:
    """A finite number; None where it is missing (a missing number is not zero)."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(Reason.NUMBER, f"{name} is not a number")
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise Unreadable(Reason.NUMBER, f"{name} is out of range")
    return float(value)


def read_epoch_ms(value: object) -> datetime | None:
    """Milliseconds since 1970 in UTC; None where missing."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST_MS:
        raise Unreadable(Reason.TIME, "ts is not milliseconds since 1970 before the year 10000")
    return datetime.fromtimestamp(value / 1000, UTC)


def read_wall(value: object, zone: ZoneInfo) -> datetime | None:
    """ISO 8601 with its offset, or as a clock in `zone` shows it; None of a clock that was never set."""
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise Unreadable(Reason.TIME, "not a date and time") from error
    if not was_set(moment):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def was_set(moment: datetime) -> bool:
    return EARLIEST <= moment.year < LATEST


def read_text(value: object, name: str, longest: int = 40) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        raise Unreadable(Reason.SHAPE, f"{name} is not a text of 1 to {longest} characters")
    return value
