"""What a use that goes on has come to, by the very function that bills it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from billing import policy as policies
from billing import pricing, queries
from billing.pricing import Charge, Outcome, Piece, UseState
from billing.quotes.queries import frozen_prices
from booking.states import BookingState
from booking.tables import Booking
from devices.confirming import measured_use, use_so_far
from devices.queries import use_of_booking
from marketplace.money import Money


@dataclass(frozen=True, slots=True)
class Meter:
    """Of a running booking at an instant: seconds of use, in its time and beyond it, and what it would cost if it ended then."""

    at: datetime
    confirmed_s: int
    overrun_s: int
    charge: Charge | None
    """None while no use is confirmed: then nothing is known yet of what it comes to."""
    quoted: Money

    @property
    def amount(self) -> Money:
        return self.charge.amount if self.charge else Money(0, self.quoted.currency)


def read_meter(session: Session, booking: Booking, *, now: datetime) -> Meter | None:
    """None before its start, where it does not stand, and once its use is confirmed: then the statement says it."""
    quote = queries.find_quote(session, booking.id)
    if quote is None or booking.state is not BookingState.CONFIRMED or now < booking.starts_at:
        return None
    if use_of_booking(session, booking.id) is not None:
        return None
    use = use_so_far(session, booking, now=now) if now < booking.ends_at else measured_use(session, booking)
    pieces = [Piece(one.slot, UseState(one.state.value)) for one in use.pieces]
    terms = policies.parse(quote.policy)
    charge = None
    if use.confirmed:
        prices, outcome = frozen_prices(quote, terms), Outcome.FULFILLED
        charge = pricing.charge_for_use(prices, quote.slot, pieces, terms, quantity=quote.quantity, verdict=outcome)
    confirmed, over = (int(span.total_seconds()) for span in (use.confirmed, use.overrun))
    return Meter(now, confirmed, over, charge, Money(quote.quote_minor, quote.currency))
