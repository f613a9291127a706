"""Waiting lists: joining one, one's own places, and a line as the institution sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.money import Money
from marketplace.slot import Slot
from web.views.frame import EMPTY_FORM, ONE_PAGE, Badge, Choice, Form, Live, Paging
from web.views.resource import RefusalPanel


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A place in a line."""

    id: str
    resource_id: str
    resource: str
    institution: str
    zone: str
    window: Slot
    length_min: int | None
    """Of the use where it may lie anywhere in the window; None where exactly the window is wanted."""
    state: str
    joined_at: datetime
    position: int | None
    """From 1 while it waits, among those whose wishes meet."""
    offer: Slot | None = None
    offered_until: datetime | None = None
    quantity: int = 1
    price: Money | None = None
    """At most, of what is offered."""
    by_request: bool = False
    """The institution answers before a booking of it stands."""
    booking_id: str | None = None
    customer: str = ""
    live: Live | None = None
    """What the equipment does now, where the place is open."""


@dataclass(frozen=True, slots=True)
class WaitingView:
    """GET /{lang}/waiting."""

    open: Sequence[WaitingRow]
    """Offers first."""
    past: Sequence[WaitingRow]
    paging: Paging = ONE_PAGE
    live_url: str = ""
    refusal: RefusalPanel | None = None
    """Why the last answer to an offer was refused."""


@dataclass(frozen=True, slots=True)
class JoinView:
    """GET POST /{lang}/r/{id}/waiting."""

    resource_id: str
    resource: str
    zone: str
    lengths: Sequence[Choice]
    organisations: Sequence[Choice]
    offer_min: int
    """How long an offer stands, in minutes."""
    live: Badge
    assistance: str = "none"
    capacity: int = 1
    """How many there are; where there is one, nobody is asked how many."""
    form: Form = EMPTY_FORM
    """start, end (wall clock of the equipment), minutes, quantity, organisation_id, assisted."""
    refusal: RefusalPanel | None = None


@dataclass(frozen=True, slots=True)
class LineView:
    """GET /{lang}/desk/resources/{id}/waiting."""

    resource_id: str
    resource: str
    zone: str
    rows: Sequence[WaitingRow]
    offer_min: int
    live: Badge
