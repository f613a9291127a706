"""Requests that wait for a publisher's answer, and what became of answers just given."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.money import Money
from marketplace.slot import Slot
from web.views.frame import Choice, Live


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The booking before or after on the same equipment, within a day."""

    booking_id: str
    customer: str
    slot: Slot
    state: str
    gap_min: int
    """Between the two, set-up and clean-down included."""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request with what its answer needs."""

    booking_id: str
    version: int
    resource_id: str
    resource: str
    customer: str
    person: str
    small_firm: bool
    slot: Slot
    zone: str
    price: Money
    owed: Money
    """What declining it, or silence, costs its customer for a time given up late."""
    purpose: str | None
    asked_at: datetime
    deadline: datetime
    by_start: bool
    """The deadline is its start; the publisher has set none."""
    before: Neighbour | None
    after: Neighbour | None
    setup_min: int
    cleaning_min: int
    live: Live | None
    """What the equipment does now; None beyond what one stream watches."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one answer."""

    booking_id: str
    name: str
    done: bool
    text: str


@dataclass(frozen=True, slots=True)
class ApprovalsView:
    """GET/POST /{lang}/desk/requests."""

    institution: str
    institution_id: str
    institutions: Sequence[Choice]
    now: datetime
    rows: Sequence[RequestRow]
    more: bool
    """There are further ones beyond those shown."""
    answered: Sequence[Answered] = ()
    menu: Sequence[str] = ()
    live_url: str = ""
