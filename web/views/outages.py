"""Times when a piece of equipment cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.slot import Slot
from web.views.frame import EMPTY_FORM, Badge, Choice, Form


@dataclass(frozen=True, slots=True)
class OutageRow:
    """An outage; `running` says whether it is on now."""

    id: str
    slot: Slot
    planned: bool
    reason: str
    running: bool
    recorded_at: datetime
    recorded_by: str | None
    ended_at: datetime | None
    """When somebody said that it ends earlier."""
    until: str
    """The name of the field that asks for an earlier end."""
    until_now: str
    """Its end as that field writes it."""


@dataclass(frozen=True, slots=True)
class MetBooking:
    """A booking in the way of what was asked; one that has begun cannot be cancelled."""

    id: str
    customer: str
    slot: Slot
    state: str
    begun: bool
    step: str = "keep"
    """What is proposed: keep, shift (to `to`), move (to `place`) or cancel."""
    to: Slot | None = None
    place: str | None = None
    house: str | None = None
    """The other institution that `place` belongs to."""
    of: str | None = None
    """Which machine it is a booking of, where that takes this one along."""


@dataclass(frozen=True, slots=True)
class OutagesView:
    """GET/POST /{lang}/desk/resources/{id}/outages."""

    resource_id: str
    resource: str
    zone: str
    live: Badge
    coming: Sequence[OutageRow]
    """Running and to come, soonest first."""
    past: Sequence[OutageRow]
    """Of the last half year, newest first."""
    kinds: Sequence[Choice]
    can_edit: bool
    met: Sequence[MetBooking] = ()
    """Shown before anything is stored; `plan` must then be chosen."""
    proposed: str = ""
    """The steps shown, to be sent back: they are carried out only while they are still the ones proposed."""
    plans: Sequence[Choice] = ()
    form: Form = EMPTY_FORM
    """start, end (wall clock of the equipment, 2026-11-25T15:30), kind, reason, plan, seen (ids of the bookings shown)."""


@dataclass(frozen=True, slots=True)
class RetireView:
    """POST /{lang}/desk/resources/{id}/retire, where something lies ahead: nothing is changed before `plan` is chosen."""

    resource_id: str
    resource: str
    zone: str
    met: Sequence[MetBooking]
    proposed: str
    """The steps shown, to be sent back."""
    plans: Sequence[Choice]
    series: int
    """How many series the bookings belong to."""
    offers: int
    waiting: int
    form: Form = EMPTY_FORM
