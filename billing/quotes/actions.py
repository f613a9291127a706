"""Writes of quotes: price and policy of a booking, frozen when it is made."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing import pricing, queries, settlement
from billing.payments import actions as payments
from billing.quotes.queries import Buyer, Offer, get_offer, hourly, snapshot_of
from billing.settlement import Funding
from billing.tables import BookingQuote
from booking.tables import Booking
from marketplace.ids import new_id
from marketplace.money import Money
from marketplace.prepared import Append
from marketplace.refusals import Invalid, NotFound
from marketplace.slot import Slot
from marketplace.tables import Organisation

QUOTES = Append(BookingQuote)
KEPT = ("price_minor", "price_class", "currency", "timezone", "funding", "policy", "policy_digest")
"""Of the quote before, when a booking moves."""


def quote_slot(*, price: Money, slot: Slot, quantity: int = 1) -> Money:
    """The price shown before booking: booked minutes at an hour's price."""
    return pricing.quote(price, slot, quantity)


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
    prices, own_house = policy.document.get("class_prices", {}), organisation is None
    price, price_class = hourly(offer.price, offer.institution_id, prices, organisation, own_house=own_house)
    terms: dict[str, Any] = {"price_minor": price.minor, "price_class": price_class, "currency": price.currency}
    terms |= {"timezone": offer.timezone, "funding": funding, "policy": policy.document, "policy_digest": policy.digest}
    rows = [_quote(booking, number=1, terms=terms, now=now) for booking in bookings]
    QUOTES.add(session, rows)
    return [Money(row["quote_minor"], row["currency"]) for row in rows]


def requote_booking(session: Session, *, booking: Booking, given_up: bool = False, now: datetime) -> Money:
    """Price a moved booking again, under the price and the policy of its acceptance.

    Where its customer has `given_up` the time before, cancelling it costs no less from now on than cancelling that would have.
    Raises: NotFound.
    """
    return _requote(session, [booking], [queries.quote_of_booking(session, booking.id)], now, given_up=given_up)[0]


def requote_swapped(session: Session, *, one: Booking, other: Booking, elsewhere: bool, now: datetime) -> list[Money]:
    """Price two bookings again that exchanged places.

    Each keeps the price and the policy of its acceptance; with `elsewhere`, where they exchanged machines, what was accepted
    for a machine goes with its time. How each pays stays. Raises: NotFound, Invalid (another currency, another class of price).
    """
    old = [queries.quote_of_booking(session, booking.id) for booking in (one, other)]
    if not elsewhere:
        return _requote(session, (one, other), old, now)
    if old[0].currency != old[1].currency:
        raise Invalid(field="with_booking_id", reason="is paid in another currency")
    if old[0].price_class != old[1].price_class:  # else who pays little would get the dear machine for whoever pays much
        raise Invalid(field="with_booking_id", reason="has the price of another kind of customer")
    gone, kept = [name for name in KEPT if name != "funding"], ("funding", "owed_minor")
    rows = [
        _quote(booking, number=own.number + 1, terms=_terms(own, kept) | _terms(theirs, gone), now=now)
        for booking, own, theirs in zip((one, other), old, reversed(old), strict=True)
    ]
    QUOTES.add(session, rows)
    return [Money(row["quote_minor"], row["currency"]) for row in rows]


def _terms(quote: BookingQuote, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(quote, name) for name in names}


def requote_bookings(session: Session, *, bookings: Sequence[Booking], given_up: bool = False, now: datetime) -> list[Money]:
    """The same for many, in their order. Raises: NotFound."""
    newest = queries.quotes_of_bookings(session, [booking.id for booking in bookings])
    if not newest.keys() >= {booking.id for booking in bookings}:
        raise NotFound(kind="quote")
    return _requote(session, bookings, [newest[booking.id] for booking in bookings], now, given_up=given_up)


def _requote(
    session: Session, bookings: Sequence[Booking], old: Sequence[BookingQuote], now: datetime, *, given_up: bool = False
) -> list[Money]:
    rows = []
    for booking, quote in zip(bookings, old, strict=True):
        left = given_up and booking.decided_at and booking.slot != quote.slot
        late = queries.fee_of_quote(quote, now).minor if left else 0
        owed = {"owed_minor": max(quote.owed_minor, late)}
        rows.append(_quote(booking, number=quote.number + 1, terms=_terms(quote, KEPT) | owed, now=now))
    QUOTES.add(session, rows)
    return [Money(row["quote_minor"], row["currency"]) for row in rows]


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
        "owed_minor": 0,
        "created_at": now,
        **terms,
    }
