"""A booking as iCalendar (RFC 5545), in UTC, so that every calendar shows the same instant."""

from datetime import UTC, datetime

from web.views.bookings import BookingView

LINE = 73
"""Octets of a line before it is folded; 75 with the line break's space."""

STATES = {"confirmed": "CONFIRMED", "completed": "CONFIRMED", "held": "TENTATIVE", "requested": "TENTATIVE"}


def event(view: BookingView, *, base_url: str, stamp: datetime) -> bytes:
    """One event in a calendar of its own."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Pilotbench//EN",
        "BEGIN:VEVENT",
        f"UID:{view.id}@pilotbench",
        f"SEQUENCE:{view.version}",
        f"DTSTAMP:{_utc(stamp)}",
        f"DTSTART:{_utc(view.slot.start)}",
        f"DTEND:{_utc(view.slot.end)}",
        f"SUMMARY:{_text(view.resource)}",
        f"LOCATION:{_text(', '.join(part for part in (view.institution, view.address) if part))}",
        f"STATUS:{STATES.get(view.state, 'CANCELLED')}",
        f"URL:{base_url.rstrip('/')}/zh/bookings/{view.id}",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "".join(f"{_folded(line)}\r\n" for line in lines).encode()


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(value: str) -> str:
    return value.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _folded(line: str) -> str:
    """Long lines go on behind a space, never in the middle of a character."""
    parts, part = [], ""
    for char in line:
        if len((part + char).encode()) > LINE:
            parts.append(part)
            part = ""
        part += char
    return "\r\n ".join([*parts, part])
