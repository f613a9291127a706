"""The tables of a pack of facts: columns, types, what is required. Reading, writing and the published schema share them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from math import floor
from zoneinfo import ZoneInfo

from evaluation.facts import Downtime, Outcome, Status, Telemetry, Use
from marketplace.zones import zone_names

MAX_TEXT = 1000
"""Characters of one cell: the longest text the product stores in a line."""


class BadCell(ValueError):
    """A cell cannot be read; the message says what is wrong and what to write instead."""


@lru_cache(maxsize=4096)  # where one segment ends the next begins
def instant(text: str) -> int:
    """Whole seconds since 1970 of an RFC 3339 instant with offset; fractions of a second are dropped.

    >>> instant("1970-01-01T08:00:01+08:00")
    1
    """
    try:
        if text[4:5] != "-" or text[10:11] not in {"T", "t", " "}:
            raise ValueError
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise BadCell(f"{text!r} is no instant; write 2026-03-10T09:00:00+08:00") from None
    if parsed.tzinfo is None:
        raise BadCell(f"{text!r} has no offset; add one, such as +08:00 or Z")
    return floor(parsed.timestamp())


def day(text: str) -> date:
    try:
        if len(text) != 10:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise BadCell(f"{text!r} is no date; write 2026-03-10") from None


def integer(text: str) -> int:
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 15:
        return int(text)
    raise BadCell(f"{text!r} is no whole number; write digits only")


def number(text: str) -> Fraction:
    digits = text.removeprefix("-").replace(".", "", 1)
    if text.isascii() and digits.isdigit() and len(text) <= 20 and not text.endswith("."):
        return Fraction(text)
    raise BadCell(f"{text!r} is no decimal number; write digits with at most one point")


def flag(text: str) -> bool:
    if text in {"0", "1"}:
        return text == "1"
    raise BadCell(f"{text!r} is neither 0 nor 1")


@lru_cache(maxsize=4096)  # ids repeat from row to row, and one text in memory is enough
def words(text: str) -> str:
    if len(text) > MAX_TEXT or "\x00" in text:
        raise BadCell(f"text is longer than {MAX_TEXT} characters or has a NUL in it; shorten it")
    return text


def zone(text: str) -> ZoneInfo:
    if text not in zone_names():
        raise BadCell(f"{text!r} is no IANA time zone; write one such as Asia/Shanghai")
    return ZoneInfo(text)


def one_of(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    """A cell that holds one of the values of `kind`."""
    members = {member.value: member for member in kind}

    def parse(text: str) -> StrEnum:
        if found := members.get(text):
            return found
        raise BadCell(f"{text!r} is not one of {', '.join(members)}")

    parse.__name__ = "one_of"
    parse.__dict__["values"] = list(members)
    return parse


class Given(StrEnum):
    """Statuses a file may give; `conflict` is only ever found by the rules."""

    FULFILLED = Status.FULFILLED.value
    NO_SHOW = Status.NO_SHOW.value
    PROVIDER_FAILED = Status.PROVIDER_FAILED.value
    UNVERIFIABLE = Status.UNVERIFIABLE.value
    CANCELLED = Status.CANCELLED.value


STATUSES: dict[Given | None, Status] = {given: Status(given.value) for given in Given}


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    parse: Callable[[str], object]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[Column, ...]

    @property
    def file(self) -> str:
        return f"{self.name}.csv"

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]


def _table(name: str, *columns: tuple[str, Callable[[str], object]]) -> Table:
    """Columns by name and type; a `!` after the name marks the ones no row may leave empty."""
    return Table(name, tuple(Column(column.rstrip("!"), parse, column.endswith("!")) for column, parse in columns))


UNITS = _table(
    "units",
    ("unit_id!", words), ("name", words), ("owner_org!", words), ("kind", words), ("capacity", integer), ("tz", zone),
    ("quota_hours", number), ("listed_from", day), ("decommissioned_on", day), ("value_minor", integer),
)  # fmt: skip
CALENDAR = _table("calendar", ("unit_id!", words), ("start", instant), ("end", instant))
DOWNTIME = _table(
    "downtime", ("unit_id!", words), ("start!", instant), ("end", instant), ("kind!", one_of(Downtime)), ("recorded_at", instant)
)
BOOKINGS = _table(
    "bookings",
    ("booking_id!", words), ("unit_id!", words), ("start!", instant), ("end!", instant), ("qty", integer),
    ("status", one_of(Given)), ("user_org", words), ("user_person", words), ("category!", one_of(Use)), ("purpose", words),
    ("related_party", flag), ("submitted_at", instant), ("decided_at", instant), ("cancelled_at", instant),
    ("fee_minor", integer), ("refund_minor", integer), ("rating", number), ("sme", flag),
)  # fmt: skip
SEGMENTS = _table(
    "segments", ("unit_id!", words), ("meter_id", words), ("start", instant), ("end", instant), ("state!", one_of(Telemetry))
)
ATTESTATIONS = _table(
    "attestations",
    ("unit_id!", words), ("booking_id", words), ("start!", instant), ("end!", instant),
    ("provider_signed", flag), ("user_signed", flag),
)  # fmt: skip
REQUESTS = _table(
    "requests",
    ("request_id!", words), ("unit_id!", words), ("user_org", words), ("submitted_at!", instant), ("answered_at", instant),
    ("outcome!", one_of(Outcome)),
)  # fmt: skip
ORGANISATION = _table("organisation", ("org_id!", words), ("indicator!", words), ("value", words))

TABLES = (UNITS, CALENDAR, DOWNTIME, BOOKINGS, SEGMENTS, ATTESTATIONS, REQUESTS, ORGANISATION)

SCHEMA_TYPES: dict[str, str] = {
    "instant": "datetime",
    "day": "date",
    "integer": "integer",
    "number": "number",
    "flag": "integer",
    "words": "string",
    "zone": "string",
    "one_of": "string",
}
"""Table Schema's name for each parser's type."""
