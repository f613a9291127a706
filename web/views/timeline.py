"""A publisher's timeline: all its lines, what lies on them, and moving a booking."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from marketplace.money import Money
from marketplace.slot import Slot
from web.timeline import Tick
from web.views.frame import EMPTY_FORM, ONE_PAGE, Choice, Form, Live, Paging
from web.views.resource import RefusalPanel


@dataclass(frozen=True, slots=True)
class Strip:
    """A stretch of a row: percentages across, pixels down."""

    x: str
    width: str
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Bar:
    """Something on a row: of kind booking, outage, external (busy elsewhere) or line (a use of the whole line)."""

    kind: str
    strip: Strip
    slot: Slot
    label: str
    """A customer's name or an outage's reason; may be empty."""
    state: str = ""
    """Of a booking."""
    id: str = ""
    version: int = 0
    moves: str = ""
    """all, or end where a booking that runs may only be extended; empty where it stays."""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line or a station with what lies on it."""

    resource_id: str
    name: str
    live: Live
    depth: int
    """0 for a line, 1 for its stations, and so on."""
    zone: str
    step_min: int
    height: int
    bars: Sequence[Bar]
    buffers: Sequence[Strip]
    closed: Sequence[Strip]


@dataclass(frozen=True, slots=True)
class Listed:
    """A booking of the list that says the same."""

    id: str
    resource: str
    customer: str
    slot: Slot
    zone: str
    state: str
    move_url: str
    """Empty where it stays."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a move would come to."""

    to: Slot
    zone: str
    place: str
    before: Money
    after: Money


@dataclass(frozen=True, slots=True)
class MoveCard:
    """Moving one booking: asked for, judged, not done yet. Field names and values are in `form`."""

    booking_id: str
    customer: str
    resource: str
    slot: Slot
    zone: str
    version: int
    places: Sequence[Choice]
    url: str
    close_url: str
    hidden: Sequence[tuple[str, str]]
    """What of the page's address the forms keep."""
    asked: Slot | None = None
    place_id: str = ""
    verdict: Verdict | None = None
    refusal: RefusalPanel | None = None
    refused_in: str = ""
    """The zone of the free times that a refusal names."""
    may_override: bool = False
    """Only the publisher's own rules stand in the way, and this person may set them aside."""
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class Undo:
    """A way back from the move just made."""

    booking_id: str
    version: int
    resource_id: str
    slot: Slot
    text: str
    hidden: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class TimelineView:
    """GET /{lang}/desk/timeline."""

    institution: str
    institution_id: str
    institutions: Sequence[Choice]
    zone: str
    scale: str
    first: date
    last: date
    drawn: Slot
    ticks: Sequence[Tick]
    now_x: str | None
    rows: Sequence[Row]
    listed: Sequence[Listed]
    scales: Sequence[tuple[Choice, str]]
    """Each with its address."""
    self_url: str
    previous: str
    this: str
    following: str
    hidden: Sequence[tuple[str, str]]
    can_move: bool
    card: MoveCard | None = None
    undo: Undo | None = None
    menu: Sequence[str] = ()
    live_url: str | None = None
    paging: Paging = ONE_PAGE
