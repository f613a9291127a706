"""Calendars kept elsewhere that close time of a piece of equipment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.slot import Slot
from web.views.frame import EMPTY_FORM, Badge, Form


@dataclass(frozen=True, slots=True)
class CalendarRow:
    """One of them; `address` is shown in part, a file has none."""

    id: str
    name: str
    address: str | None
    error: str | None
    """What went wrong last time, in words; what was read before stands."""
    tried_at: datetime | None
    read_at: datetime | None
    next_at: datetime
    entries: int
    busy: int
    """Stretches to come."""
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """A booking at a time that a calendar calls busy, and the time that both want."""

    booking_id: str
    customer: str
    slot: Slot
    state: str
    calendar: str


@dataclass(frozen=True, slots=True)
class ExternalView:
    """GET/POST /{lang}/desk/resources/{id}/external."""

    resource_id: str
    resource: str
    zone: str
    live: Badge
    calendars: Sequence[CalendarRow]
    conflicts: Sequence[ConflictRow]
    every_min: int
    form: Form = EMPTY_FORM
    """name, url, file."""
