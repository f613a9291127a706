"""Bookings as iCalendar (RFC 5545, invitations by RFC 5546), in UTC, so that every calendar shows the same instant."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from marketplace.slot import Slot

LINE = 75
"""Octets of a line before it is folded, its line break aside (RFC 5545, 3.1)."""


class Method(StrEnum):
    """What a calendar that comes by mail asks of the reader's own; a feed asks nothing."""

    REQUEST = "REQUEST"
    CANCEL = "CANCEL"
    PUBLISH = "PUBLISH"
    """Of several entries, which an invitation may not hold (RFC 5546, 3.2.2); one that ended says so by its status."""


class Status(StrEnum):
    CONFIRMED = "CONFIRMED"
    TENTATIVE = "TENTATIVE"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry; `uid` stays the same for ever, `sequence` rises with every change."""

    uid: str
    sequence: int
    stamp: datetime
    slot: Slot
    summary: str
    location: str
    status: Status
    url: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Parties:
    """The addresses of who invites and who is invited."""

    organiser: str
    attendee: str


def feed(events: Iterable[Event], *, name: str) -> bytes:
    """A calendar to subscribe to."""
    head = [f"X-WR-CALNAME:{_text(name)}", "REFRESH-INTERVAL;VALUE=DURATION:PT1H"]
    return _calendar(head, [line for event in events for line in _event(event)])


def single(event: Event) -> bytes:
    """One event in a calendar of its own."""
    return _calendar([], _event(event))


def invitation(event: Event, *, method: Method, parties: Parties) -> bytes:
    """One event that enters the reader's calendar, changes there, or leaves it."""
    people = [
        f"ORGANIZER:mailto:{parties.organiser}",
        f"ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;RSVP=FALSE:mailto:{parties.attendee}",
    ]
    return _calendar([f"METHOD:{method}"], _event(event, people))


def published(events: Iterable[Event], *, organiser: str) -> bytes:
    """Events that enter the reader's calendar, change there, or stand there as cancelled."""
    who = [f"ORGANIZER:mailto:{organiser}"]
    return _calendar([f"METHOD:{Method.PUBLISH}"], [line for event in events for line in _event(event, who)])


def _calendar(head: list[str], body: list[str]) -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Pilotbench//EN", "CALSCALE:GREGORIAN", *head, *body, "END:VCALENDAR"]
    return "".join(f"{_folded(line)}\r\n" for line in lines).encode()


def _event(event: Event, more: Iterable[str] = ()) -> list[str]:
    return [
        "BEGIN:VEVENT",
        f"UID:{event.uid}",
        f"SEQUENCE:{event.sequence}",
        f"DTSTAMP:{_utc(event.stamp)}",
        f"DTSTART:{_utc(event.slot.start)}",
        f"DTEND:{_utc(event.slot.end)}",
        f"SUMMARY:{_text(event.summary)}",
        *([f"LOCATION:{_text(event.location)}"] if event.location else []),
        *([f"DESCRIPTION:{_text(event.description)}"] if event.description else []),
        f"STATUS:{event.status}",
        f"URL:{event.url}",
        *more,
        "END:VEVENT",
    ]


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(value: str) -> str:
    """A value of type TEXT: what would end it is escaped, what no calendar can hold is left out.

    >>> _text("a, b; c\\r\\nd\\0")
    'a\\\\, b\\\\; c\\\\nd'
    """
    lines = value.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\r\n", "\n").replace("\r", "\n")
    return "".join(char for char in lines if char >= " " or char == "\n").replace("\n", "\\n")


def _folded(line: str) -> str:
    """Long lines go on behind a space, never in the middle of a character."""
    parts, part = [], ""
    for char in line:
        if len((part + char).encode()) > LINE:
            parts.append(part)
            part = " "
        part += char
    return "\r\n".join([*parts, part])
