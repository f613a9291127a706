"""A listing with its week calendar and booking panel."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from marketplace.money import Money
from marketplace.slot import Slot
from web.views.frame import Choice, Live


class CellKind(StrEnum):
    """What a cell of the calendar says."""

    FREE = "free"
    CHEAP = "cheap"
    BOOKED = "booked"
    MINE = "mine"
    IN_USE = "in_use"
    OUTAGE = "outage"
    CLOSED = "closed"
    PAST = "past"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; busy ones span several rows and carry their slot, free ones are one step long."""

    kind: CellKind
    slot: Slot
    day: int
    """Column, from 0."""
    rows: int = 1
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One step of the wall clock; `minute` since midnight. Cells that a longer one above covers are left out."""

    minute: int
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Column:
    """A local day."""

    day: date
    today: bool = False


@dataclass(frozen=True, slots=True)
class Week:
    """The table: made by web.weekgrid.week()."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    step_min: int
    previous: str | None = None
    """Address of the week before; None where it is over."""
    this: str = ""
    following: str | None = None
    min_min: int = 60
    """Shortest booking, what a plain click selects."""


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """A line of the price: code usage, overtime, operator, minimum, tax, voucher, subsidy; with its minutes and hourly rate."""

    code: str
    amount: Money
    minutes: int | None = None
    rate: Money | None = None
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Quote:
    """The price before confirming."""

    lines: Sequence[QuoteLine]
    total: Money
    free_until: datetime | None
    """The last instant at which cancelling costs nothing; None where it always costs, or from now on."""
    cancelling: Money
    """What it would cost at this moment."""
    price_class: str | None = None
    """The customer class whose own price it is."""
    hold: Money | None = None
    """What a card is held for, if one pays by card."""


@dataclass(frozen=True, slots=True)
class RefusalPanel:
    """Why there was no booking: the 409 and 422 answers, shown in the panel's place."""

    title: str
    text: str
    reasons: Sequence[str]
    alternatives: Sequence[Slot]
    conflicts: Sequence[Slot] = ()
    """The parts of what was asked that are taken, never by whom."""
    wait: Slot | None = None
    """The time that was taken: one may wait for it."""


@dataclass(frozen=True, slots=True)
class Booked:
    """The booking just made."""

    id: str
    slot: Slot
    state: str
    total: Money
    hold_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """The booking panel; also rendered alone as `_panel.html`."""

    resource_id: str
    zone: str
    days: Sequence[Choice]
    """Values are dates, 2026-11-25; days without free time are left out."""
    starts: Sequence[Choice]
    """Values are instants, 2026-11-25T07:30Z."""
    ends: Sequence[Choice]
    chosen: Slot | None = None
    quote: Quote | None = None
    organisations: Sequence[Choice] = ()
    """For whom, where the person belongs to several."""
    refusal: RefusalPanel | None = None
    booked: Booked | None = None
    signed_in: bool = True
    key: str = ""
    """The idempotency key of the confirm form: the same one again after a refusal that changed nothing."""
    purpose: str = ""
    review: bool = False
    """Whether everything is to be looked at once more before confirming."""
    assistance: str = "none"
    """Whether an operator stands by: none, optional, required."""
    assisted: bool = False
    """Asked for before a refusal, or all that the booker has without a qualification."""
    lacking: Sequence[str] = ()
    """What the booker lacks for the chosen time without an operator."""
    helped: bool = False
    """Whether an operator would make up for it."""
    by_request: bool = False
    """The institution answers each request before it stands."""
    quantity: int = 1
    capacity: int = 1
    """How many there are; where there is one, nobody is asked how many."""
    closed: str | None = None
    """Why nothing can be booked: paused, retired, draft, not_entitled; None where it can."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of "Capabilities and conditions": a code of web.rule_words FACT, and the value as shown."""

    code: str
    value: str
    more: Sequence[str] = ()
    """Further lines of it."""


@dataclass(frozen=True, slots=True)
class Praise:
    """What customers thought of it: the average to one place and the number; the newest texts for its publisher."""

    average: Decimal
    count: int
    texts: Sequence[tuple[int, str, datetime]] = ()


@dataclass(frozen=True, slots=True)
class ResourceView:
    """GET /{lang}/r/{id}; also rendered as `_week.html` when the slots change."""

    id: str
    name: str
    kind: str
    institution: str
    district: str | None
    address: str | None
    zone: str
    live: Live
    power: Sequence[float]
    """The last 60 minutes for the sparkline, oldest first; empty without a meter."""
    summary: str | None
    tags: Sequence[str]
    facts: Sequence[Fact]
    terms: Sequence[Fact]
    """What cancelling costs and what is billed."""
    price: Money
    week: Week
    panel: Panel
    class_prices: Sequence[tuple[str, Money]] = ()
    tariff: Sequence[tuple[str, Money]] = ()
    """Under which conditions, in words, an hour costs what."""
    """Of customer classes that do not pay the list price."""
    listed_on: date | None = None
    live_url: str | None = None
    manage_url: str | None = None
    """The desk's page of this listing, for its own staff."""
    next_free: datetime | None = None
    praise: Praise | None = None
    shown_days: int = 0
    """The day of the week with which a narrow screen's three begin: 0 to 4."""
