"""What becomes of the money of a booking that ends before its use: the fee charged at once, or what was secured let go."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from billing import policy as policies
from billing import pricing, queries
from billing.actions import charge_at_once
from billing.payments import actions as payments
from billing.programmes import actions as programmes
from billing.resale.tables import FeeCredit
from billing.tables import BookingQuote
from booking.bundles.queries import is_left_over
from booking.states import BookingState
from booking.tables import Booking
from marketplace.money import Money


def fee_if_cancelled(session: Session, *, booking: Booking, now: datetime) -> Money:
    """What cancelling at `now` would cost the customer; a hold or a first request costs nothing. Raises: NotFound."""
    return _fee_of(session, queries.quote_of_booking(session, booking.id), booking, now)


def _fee_of(session: Session, quote: BookingQuote, booking: Booking, now: datetime) -> Money:
    """What is left of a bundle whose other part an institution never granted costs nothing to give up."""
    owed = Money(quote.owed_minor, quote.currency)
    if booking.decided_at is None and booking.state not in {BookingState.CONFIRMED, BookingState.CANCELLED}:
        return Money(0, quote.currency)
    return owed if is_left_over(session, booking) else max(queries.fee_of_quote(quote, now), owed)


def settle_cancellation(session: Session, *, booking: Booking, free: bool, now: datetime) -> Money:
    """Charge the fee of a cancelled booking, or let go of its money; returns the fee. Raises: NotFound."""
    quote = queries.quote_of_booking(session, booking.id)
    fee = Money(0, quote.currency) if free else fee_if_cancelled(session, booking=booking, now=now)
    if not fee:
        payments.release_all(session, booking=booking, now=now)
        programmes.release(session, booking_ids=[booking.id])
        return fee
    if not is_left_over(session, booking) and (
        lost := queries.fee_of_quote(quote, now)
    ):  # what is owed beyond this was for another time
        session.add(_credit_to_decide(booking, quote, lost, now))
    charge = pricing.charge_for_cancellation(fee, tax=policies.parse(quote.policy).tax)
    charge_at_once(session, booking=booking, charge=charge, now=now)
    return fee


def settle_refusal(session: Session, *, booking: Booking, now: datetime) -> Money:
    """Of a request refused or unanswered: charge what the time given up for it costs, or let its money go. Raises: NotFound."""
    quote, left = queries.quote_of_booking(session, booking.id), queries.given_up(session, booking.id)
    fee = Money(quote.owed_minor, quote.currency)
    if left is None:
        payments.release_all(session, booking=booking, now=now)
        programmes.release(session, booking_ids=[booking.id])
        return fee
    session.add(_credit_to_decide(booking, left, fee, now))
    charge = pricing.charge_for_cancellation(fee, tax=policies.parse(left.policy).tax)
    charge_at_once(session, booking=booking, charge=charge, now=now)
    return fee


def settle_cancellations(session: Session, *, bookings: Sequence[Booking], free: Collection[str], now: datetime) -> list[Money]:
    """The same of many, in their order; `free` are the ids of those that cost nothing. Raises: NotFound."""
    ids = [booking.id for booking in bookings]
    quotes, paid = queries.quotes_of_bookings(session, ids), queries.with_payments(session, ids)
    fees, lapsed = [], []
    for booking in bookings:
        quote = quotes.get(booking.id)
        if quote and booking.id not in paid and (booking.id in free or not _fee_of(session, quote, booking, now)):
            fees.append(Money(0, quote.currency))
            lapsed.append(booking.id)
        else:
            fees.append(settle_cancellation(session, booking=booking, free=booking.id in free, now=now))
    programmes.release(session, booking_ids=lapsed)
    return fees


def _credit_to_decide(booking: Booking, quote: BookingQuote, fee: Money, now: datetime) -> FeeCredit:
    return FeeCredit(
        booking_id=booking.id,
        fee_minor=fee.minor,
        currency=fee.currency,
        ends_at=quote.ends_at,
        whole_s=quote.slot.seconds * quote.quantity,
        created_at=now,
    )
