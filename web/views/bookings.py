"""One's own bookings: the list and one of them from request to bill."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from billing.running import Meter
from marketplace.money import Money
from marketplace.slot import Slot
from web.views.calendar import CalendarView
from web.views.changes import Changes
from web.views.frame import ONE_PAGE, Choice, Live, Paging
from web.views.programmes import Parts


@dataclass(frozen=True, slots=True)
class BookingRow:
    id: str
    resource_id: str
    resource: str
    institution: str
    slot: Slot
    zone: str
    state: str
    total: Money
    """At most, before there is a bill."""
    billed: Money | None = None
    """By the newest bill."""
    statement_state: str | None = None
    """Of the statement if there is one: open, accepted, disputed, settled; nothing, where it came to nothing."""
    booked_by: str | None = None
    live: Live | None = None
    """What the equipment does now; None where nothing is to come."""


@dataclass(frozen=True, slots=True)
class BookingsView:
    """GET /{lang}/bookings."""

    upcoming: Sequence[BookingRow]
    past: Sequence[BookingRow]
    organisation: str | None
    mode: str
    """list, week or month."""
    modes: Sequence[tuple[Choice, str]]
    """Each with its address."""
    groups: Sequence[Choice]
    """Codes of web.labels GROUP, the first empty for all."""
    organisations: Sequence[Choice]
    """Empty where there is no choice."""
    filtered: bool
    day: date
    zone: str
    """The reader's own; equipment's is named where its clock differs."""
    calendar: CalendarView | None = None
    live_url: str = ""
    to_sign: Sequence[BookingRow] = ()
    """Bookings with a statement of use that waits for the reader's answer."""
    paging: Paging = ONE_PAGE


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the way: booked, approved, in_use, metered, billed, paid, cancelled … done, now, todo or failed."""

    code: str
    state: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch in one state: RUN, IDLE, OFF, FAULT or UNKNOWN."""

    slot: Slot
    state: str


@dataclass(frozen=True, slots=True)
class UseMinutes:
    """What was booked beside what the equipment itself reported, in whole seconds."""

    booked_s: int
    confirmed_s: int
    early_s: int
    overrun_s: int
    unverified_s: int
    fault_s: int
    verdict: str
    grade: str
    pieces: Sequence[Piece]
    power: Sequence[tuple[datetime, float]] = ()
    """Watts over the drawn time; may be empty."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A run of the equipment and why it began and ended."""

    slot: Slot
    open: bool
    confirmed_s: int
    unverified_s: int
    energy_wh: int
    grade: str
    begin_reason: str
    """load_on, or a code of web.labels BEGIN."""
    end_reason: str | None
    """off, gap; None while it runs."""
    flags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class CancelOffer:
    """What cancelling now would cost."""

    fee: Money
    free_until: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class PartRow:
    """Another booking that was made together with this one."""

    id: str
    resource: str
    slot: Slot
    zone: str
    state: str


@dataclass(frozen=True, slots=True)
class MoveTogether:
    """What moving all that has not begun would come to; nothing is moved yet."""

    parts: Sequence[PartRow]
    """Where each would lie, and in which state."""
    prices: Sequence[tuple[Money, Money]]
    """Of all together before and after, a pair a currency."""
    asks: bool
    """Whether an institution must say yes again."""
    hidden: Sequence[tuple[str, str]]
    """The fields that make the move."""


@dataclass(frozen=True, slots=True)
class Way:
    """A start of this booking by which all of them fit."""

    start: datetime
    url: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """The others, and what moving or cancelling all that has not begun would come to."""

    parts: Sequence[PartRow]
    ahead: int
    """How many can be cancelled, this one with them; 0 where the reader may not."""
    fees: Sequence[Money]
    movable: int
    """How many can be moved, this one with them; 0 where the reader may not."""
    version: int
    start: str
    """Of this booking, as fields of date and time carry it."""
    move: MoveTogether | None = None
    ways: Sequence[Way] = ()
    """Where a move was refused: others that would not be."""


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened when, and who did it; nobody's name where it is the equipment's or the bill's."""

    at: datetime
    text: str
    who: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A time that was given up late for another, which the institution has not agreed to."""

    slot: Slot
    fee: Money
    charged: bool
    """The request came to nothing; else the fee is owed if it does."""


@dataclass(frozen=True, slots=True)
class Presence:
    """What is said and can be said of who is there."""

    can_check_in: bool
    check_in_by: datetime | None
    """Until when one may; None where that is the end."""
    can_finish: bool
    absent: bool
    """Nobody has checked in in time, and the equipment was seen to stand idle."""
    for_others: bool
    """The reader is the house's, not the customer's."""


@dataclass(frozen=True, slots=True)
class MeterView:
    """GET /{lang}/bookings/{id}/meter: what a running use has come to."""

    booking_id: str
    zone: str
    meter: Meter


@dataclass(frozen=True, slots=True)
class BookingView:
    """GET /{lang}/bookings/{id}."""

    id: str
    resource_id: str
    resource: str
    institution: str
    address: str | None
    organisation: str | None
    booked_by: str
    purpose: str | None
    operator: str | None
    """Who of the institution stands by."""
    price: Money | None
    price_class: str
    slot: Slot
    zone: str
    state: str
    total: Money
    quantity: int
    steps: Sequence[Step]
    use: UseMinutes | None
    sessions: Sequence[SessionRow]
    cancel: CancelOffer | None
    statement_url: str | None
    payment_url: str | None
    """Where something was asked for online."""
    ics_url: str
    history: Sequence[Happening]
    changes: Changes
    presence: Presence
    given_up: GivenUp | None
    can_decide: bool = False
    """The institution's own staff may approve or refuse a request."""
    programmes: Parts | None = None
    """What is reserved for it of the firm's programmes."""
    version: int = 1
    hold_until: datetime | None = None
    """Until when the time is held for a payment that is not secured yet."""
    series_id: str | None = None
    bundle: Bundle | None = None
    moved_from: Slot | None = None
    """Where the rule of its series has it, if it was moved alone."""
    refusal: str | None = None
    """Why the last step was refused, in words."""
    meter: Meter | None = None
    """While it is in use, and until its use is confirmed."""
    live: Live | None = None
    """What the equipment does now; None once the booking is over."""
    live_url: str = ""
    attestations: str | None = None
    """Where its use can be stated or answered: state, answer, look; None where there is nothing to do."""
