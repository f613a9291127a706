"""A statement of use: printable, accepted or disputed by the firm, marked paid by the institution's finance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from marketplace.money import Money
from marketplace.slot import Slot
from web.views.frame import EMPTY_FORM, Form
from web.views.programmes import ProgrammePart


@dataclass(frozen=True, slots=True)
class StatementLine:
    """Code usage, overtime, unused, no_show, cancellation, programme … with what it was worked out from."""

    code: str
    amount: Money
    minutes: int | None = None
    rate: Money | None = None
    name: str = ""
    """Of the programme."""
    left: Money | None = None
    """What it comes to after the answers that it had."""
    place: int = 0
    """Among the lines, from 0."""
    objection: str | None = None
    """Why the firm says that it is wrong."""
    of_code: str | None = None
    """Of a correction, which line the institution has made cheaper."""
    answer: str | None = None
    """And what it says to it."""

    @property
    def cells(self) -> tuple[str, int | None, Decimal | None, Decimal, str]:
        """Of a sheet: line, minutes, price per hour, amount, currency."""
        rate = self.rate.decimal if self.rate else None
        return self.code, self.minutes, rate, self.amount.decimal, self.amount.currency


@dataclass(frozen=True, slots=True)
class Because:
    """A discrepancy that a correction answers; `url` for those who may read all of them."""

    slot: Slot
    found_at: datetime
    was_s: int
    would_be_s: int
    url: str | None


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A record of a meter's day (UTC) that the minutes rest on; without a root the day is not sealed yet."""

    day: date
    meter: str
    root: str = ""
    leaves: int = 0
    first: int | None = None
    within: int | None = None
    """How many of the leaves from `first` on came in the time of use; None where that is not known any more."""
    seal: int = 0


@dataclass(frozen=True, slots=True)
class Basis:
    rows: Sequence[SealedRow]
    more: int
    """Days of meters that are not shown, if all are known."""
    check: str
    """What checks the messages that the institution hands over."""


@dataclass(frozen=True, slots=True)
class BankTransfer:
    """Where to pay, and what to write on the transfer."""

    account_name: str
    account: str
    reference: str


@dataclass(frozen=True, slots=True)
class StatementView:
    """GET /{lang}/bookings/{id}/statement."""

    booking_id: str
    number: str
    version: int
    state: str
    """open, accepted, disputed, settled or superseded."""
    customer: str
    institution: str
    resource: str
    slot: Slot
    zone: str
    issued_at: datetime
    due_at: datetime | None
    booked_min: int
    logged_min: int
    confirmed_min: int
    billed_min: int
    grade: str
    lines: Sequence[StatementLine]
    charge: Money
    """What of it the firm pays itself."""
    paid: Money
    open_amount: Money
    funding: str
    """card, wallet or bank."""
    transfer: BankTransfer | None
    can_answer: bool
    can_mark_received: bool
    can_mark_returned: bool = False
    """What the firm has paid too much is to be paid back by bank."""
    can_resolve: bool = False
    """The firm objects, and the reader answers for the institution."""
    dispute_reason: str | None = None
    corrections: Sequence[str] = ()
    """Earlier numbers of this statement that this one replaces."""
    because: Sequence[Because] = ()
    """Late messages that this version answers."""
    payment_url: str | None = None
    """Where it is paid through the platform."""
    programmes: Sequence[ProgrammePart] = ()
    """What programmes pay of this version."""
    basis: Basis | None = None
    """None where nothing was measured."""
    form: Form = EMPTY_FORM
