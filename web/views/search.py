"""The search page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from marketplace.money import Money
from marketplace.slot import Slot
from web.views.frame import ONE_PAGE, Choice, Live, Paging


@dataclass(frozen=True, slots=True)
class DayOpen:
    """Free hours of one local day of the strip."""

    day: date
    free_h: float
    share: float
    """Free over open time, 0 to 1."""
    today: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """The first slot of the length that was asked for, and what it would cost at most."""

    slot: Slot
    total: Money


@dataclass(frozen=True, slots=True)
class Nearest:
    """Where nothing is free in the window: what is free soonest."""

    resource_id: str
    name: str
    slot: Slot
    zone: str


@dataclass(frozen=True, slots=True)
class Card:
    """One listing among the results."""

    id: str
    name: str
    kind: str
    icon: str
    """A name of web/icons.txt."""
    institution: str
    district: str | None
    tags: Sequence[str]
    live: Live
    week: Sequence[DayOpen]
    price: Money
    zone: str
    first_free: datetime | None
    is_soon: bool = True
    """Whether that is so near that its weekday says which day."""
    offer: Offer | None = None
    """Where a time was asked for."""
    why: Sequence[str] = ()
    """The words that matched, for "matches: …"."""
    foreign: str | None = None
    """The language the name is in, where it is not the page's."""


@dataclass(frozen=True, slots=True)
class Facet:
    """A group of check boxes named `name` (kind, chain or district)."""

    name: str
    options: Sequence[Choice]


@dataclass(frozen=True, slots=True)
class SearchView:
    """GET /{lang}/search; also rendered as `_results.html` for partial updates."""

    text: str
    day: date | None
    until: date | None
    lengths: Sequence[Choice]
    """Hours wanted: values "1", "2", "4", "8" … with labels."""
    only_free: bool
    assisted: bool
    min_price: str
    max_price: str
    budget: str
    sorts: Sequence[Choice]
    """match, earliest, price, name."""
    facets: Sequence[Facet]
    listed: int
    free_now: int
    total: int
    cards: Sequence[Card]
    paging: Paging = ONE_PAGE
    live_url: str | None = None
    """Where the live stream of these cards is; None leaves the dots as drawn."""
    nearest: Nearest | None = None
    later_url: str | None = None
    """The same search from the day of the nearest on."""
