"""What a firm can do now for a booking's payment: pay what is open, or have an amount held where the hold was refused."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from billing import queries, settlement
from billing.payments.actions import still_owed
from billing.payments.pages import PAGE_LIFE, want_page, ways_for
from billing.providers.base import Purpose, Way
from billing.settlement import Funding
from billing.tables import Payment, PaymentState
from booking.states import BookingState
from booking.tables import Booking
from marketplace.money import Money
from marketplace.refusals import WrongState

STANDS = frozenset({BookingState.CONFIRMED, BookingState.REQUESTED})
LIVE = frozenset({PaymentState.WANTED, PaymentState.AUTHORISED, PaymentState.CAPTURED})


class Need(StrEnum):
    REST = "rest"
    """Of an accepted statement."""

    HOLD = "hold"
    """Refused when its time came, or let go by the bank."""


@dataclass(frozen=True, slots=True)
class Open:
    """What waits for the payer and can be asked of them on a page."""

    need: Need
    amount: Money


def what_is_open(session: Session, *, booking: Booking, now: datetime) -> Open | None:
    """Nothing where a page is open already, a charge is under way, or the amount is too little to be paid online."""
    accepted = queries.accepted_statement(session, booking.id)
    if accepted is not None and accepted.funding is not Funding.BANK:
        rest = still_owed(session, booking_id=booking.id, currency=accepted.currency)
        return Open(Need.REST, rest) if settlement.capturable(rest, rest) else None
    quote = queries.find_quote(session, booking.id)
    held = queries.payments_of(session, booking.id)
    if quote is None or quote.funding is not Funding.CARD or booking.state not in STANDS or booking.starts_at <= now:
        return None
    if not held or any(one.state in LIVE for one in held):
        return None
    return Open(Need.HOLD, settlement.hold_for(Money(quote.quote_minor, quote.currency)))


def pay_open(session: Session, *, booking: Booking, now: datetime) -> Payment:
    """Ask for a page for what is open; pressed twice it is one page. Raises: WrongState."""
    queries.lock_payments(session, booking.id)
    found = what_is_open(session, booking=booking, now=now)
    if found is None:
        raise WrongState(state="nothing_open", move="pay")
    purpose, ways = (Purpose.PREPAY, ways_for(found.amount.currency)) if found.need is Need.REST else (Purpose.HOLD, (Way.CARD,))
    ends_at = now + PAGE_LIFE
    return want_page(session, booking=booking, purpose=purpose, amount=found.amount, ways=ways, ends_at=ends_at, now=now)
