"""Writes of quotes: price and policy of a booking, frozen when it is made."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing import pricing, queries, settlement
from billing.payments import actions as payments
from billing.quotes.queries import Buyer, Offer, get_offer, snapshot_of
from billing.settlement import Funding
from billing.tables import BookingQuote
from booking.tables import Booking
from marketplace.ids import new_id
from marketplace.money import Money, zero
from marketplace.prepared import Append
from marketplace.slot import Slot
from marketplace.tables import Organisation, Resource

QUOTES = Append(BookingQuote)


def quote_slot(*, resource: Resource, slot: Slot, quantity: int = 1, own_house: bool = False) -> Money:
    """The price shown before booking: booked minutes at the price per hour that the booking will freeze."""
    return pricing.quote(price_for(resource.price, own_house=own_house), slot, quantity)


def price_for(listed: Money, *, own_house: bool) -> Money:
    """One's own house pays nothing."""
    return zero(listed.currency) if own_house else listed


def quote_booking(
    session: Session,
    *,
    booking: Booking,
    organisation: Buyer | Organisation | None,
    payment_method: str | None,
    now: datetime,
    offer: Offer | None = None,
) -> Money:
    """Freeze price and policy for the booking; with a payment method queue the hold. One's own house pays nothing.

    Less than the provider takes online is not held and comes on the statement.
    """
    funding = Funding.CARD if payment_method else Funding.BANK
    [quoted] = quote_bookings(session, bookings=[booking], organisation=organisation, funding=funding, now=now, offer=offer)
    if payment_method and settlement.capturable(quoted, quoted):
        payments.want_hold(session, booking=booking, quoted=quoted, method=payment_method, now=now)
    return quoted


def quote_bookings(
    session: Session,
    *,
    bookings: Sequence[Booking],
    organisation: Buyer | Organisation | None,
    funding: Funding,
    now: datetime,
    offer: Offer | None = None,
) -> list[Money]:
    """Freeze price and policy for bookings of one resource, which nothing secures yet; `offer` where it was read already."""
    offer = offer or get_offer(session, bookings[0].resource_id)
    policy = snapshot_of(session, offer.policy_id)
    price = price_for(offer.price, own_house=organisation is None)
    terms = {"price_minor": price.minor, "currency": price.currency}
    terms |= {"timezone": offer.timezone, "funding": funding, "policy": policy.document, "policy_digest": policy.digest}
    rows = [_quote(booking, number=1, terms=terms, now=now) for booking in bookings]
    QUOTES.add(session, rows)
    return [Money(row["quote_minor"], row["currency"]) for row in rows]


def requote_booking(session: Session, *, booking: Booking, now: datetime) -> Money:
    """Price a moved booking again, under the price and the policy of its acceptance. Raises: NotFound."""
    old = queries.quote_of_booking(session, booking.id)
    terms = {name: getattr(old, name) for name in ("price_minor", "currency", "timezone", "funding", "policy", "policy_digest")}
    row = _quote(booking, number=old.number + 1, terms=terms, now=now)
    QUOTES.add(session, [row])
    return Money(row["quote_minor"], row["currency"])


def _quote(booking: Booking, *, number: int, terms: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The booking's slot and units at a price and a policy, `terms`."""
    price = Money(terms["price_minor"], terms["currency"])
    return {
        "id": new_id("quo"),
        "booking_id": booking.id,
        "number": number,
        "quantity": booking.quantity,
        "starts_at": booking.starts_at,
        "ends_at": booking.ends_at,
        "quote_minor": pricing.quote(price, booking.slot, booking.quantity).minor,
        "created_at": now,
        **terms,
    }
