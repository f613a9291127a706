"""Writes of quotes: price and policy of a booking, frozen when it is made."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing import policy as policies
from billing import pricing, queries
from billing.payments.securing import secure
from billing.policy import Policy
from billing.programmes import actions as programmes
from billing.programmes.actions import Wanted
from billing.quotes.queries import (
    ALONE,
    Buyer,
    Offer,
    Terms,
    Use,
    accepted_prices,
    buffers_of,
    get_offer,
    price_list,
    snapshot_for,
)
from billing.settlement import Funding
from billing.tables import BookingQuote
from billing.tariffs.choosing import PriceList
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


def quote_slot(*, prices: PriceList, slot: Slot, quantity: int = 1) -> Money:
    """The price shown before booking: what the booked minutes cost at most."""
    return pricing.quote(prices, slot, quantity)


def lines_of_slot(*, prices: PriceList, slot: Slot, quantity: int = 1) -> list[pricing.Line]:
    """What that price is made of."""
    return pricing.quote_lines(prices, slot, quantity)


def quote_booking(
    session: Session,
    *,
    booking: Booking,
    organisation: Buyer | Organisation | None,
    payment_method: str | None,
    now: datetime,
    offer: Offer | None = None,
    funding: Funding | None = None,
) -> Money:
    """Freeze price and policy for the booking and ask for what secures it. One's own house pays nothing.

    Without `funding` a payment method is a card's, and none means by bank.
    """
    funding = funding or (Funding.CARD if payment_method else Funding.BANK)
    [quoted] = quote_bookings(session, bookings=[booking], organisation=organisation, funding=funding, now=now, offer=offer)
    secure(session, booking=booking, quoted=quoted, funding=funding, method=payment_method, now=now)
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
    offer, own_house = offer or get_offer(session, bookings[0].resource_id), organisation is None
    found = snapshot_for(session, offer, own_house=own_house)
    terms = Terms(found.policy, ZoneInfo(offer.timezone))
    prices, price_class = price_list(offer.price, offer.institution_id, terms, organisation, own_house=own_house)
    kept: dict[str, Any] = {"price_minor": prices.hour.minor, "price_class": price_class, "currency": prices.hour.currency}
    kept |= {"timezone": offer.timezone, "funding": funding, "policy": found.document, "policy_digest": found.digest}
    uses = _uses(session, bookings, [found.policy] * len(bookings))
    rows = [_quote(one, number=1, terms=kept, use=uses[one.id], policy=found.policy, now=now) for one in bookings]
    QUOTES.add(session, rows)
    if not isinstance(organisation, Buyer) or organisation.entitled:
        _reserve(session, bookings, rows, [found.policy] * len(bookings))
    return [Money(row["quote_minor"], row["currency"]) for row in rows]


def _reserve(session: Session, bookings: Sequence[Booking], rows: Sequence[Mapping[str, Any]], terms: Sequence[Policy]) -> None:
    """What programmes pay of the quotes that were just made."""
    quoted = (Money(row["quote_minor"], row["currency"]) for row in rows)
    bases = (pricing.bases_of_quote(one, policy.tax) for one, policy in zip(quoted, terms, strict=True))
    wanted = [Wanted(booking, base) for booking, base in zip(bookings, bases, strict=True) if booking.organisation_id]
    if wanted:
        programmes.reserve(session, wanted=wanted)


def _uses(session: Session, bookings: Sequence[Booking], terms: Sequence[Policy]) -> Mapping[str, Use]:
    """By booking; what its claims keep clear is looked up only where the policy bills it."""
    billed = [one for one, policy in zip(bookings, terms, strict=True) if policy.setup_billed or policy.cleanup_billed]
    clear = buffers_of(session, billed) if billed else {}
    return {one.id: Use(one.assisted, clear.get(one.id, ALONE.buffers)) for one in bookings}


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
    under = [policies.parse(quote.policy) for quote in reversed(old)]
    uses, rows = _uses(session, (one, other), under), []
    for booking, own, theirs, policy in zip((one, other), old, reversed(old), under, strict=True):
        terms = _terms(own, kept) | _terms(theirs, gone)
        rows.append(_quote(booking, number=own.number + 1, terms=terms, use=uses[booking.id], policy=policy, now=now))
    QUOTES.add(session, rows)
    _reserve(session, (one, other), rows, under)
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
    under = [policies.parse(quote.policy) for quote in old]
    rows, uses = [], _uses(session, bookings, under)
    for booking, quote, policy in zip(bookings, old, under, strict=True):
        left = given_up and booking.decided_at and booking.slot != quote.slot
        late = queries.fee_of_quote(quote, now).minor if left else 0
        owed = {"owed_minor": max(quote.owed_minor, late)}
        terms = _terms(quote, KEPT) | owed
        rows.append(_quote(booking, number=quote.number + 1, terms=terms, use=uses[booking.id], policy=policy, now=now))
    QUOTES.add(session, rows)
    _reserve(session, bookings, rows, under)
    return [Money(row["quote_minor"], row["currency"]) for row in rows]


def _quote(booking: Booking, *, number: int, terms: dict[str, Any], use: Use, policy: Policy, now: datetime) -> dict[str, Any]:
    """The booking's slot and units at a price and a policy, `terms`."""
    setup_s, cleanup_s = (span // timedelta(seconds=1) for span in (use.buffers.setup, use.buffers.cleaning))
    kept = {"assisted": use.assisted, "setup_s": setup_s, "cleanup_s": cleanup_s}
    price, kind = Money(terms["price_minor"], terms["currency"]), terms["price_class"]
    prices = accepted_prices(policy, price, kind, terms["timezone"], use)
    return {
        "id": new_id("quo"),
        "booking_id": booking.id,
        "number": number,
        "quantity": booking.quantity,
        "starts_at": booking.starts_at,
        "ends_at": booking.ends_at,
        "quote_minor": pricing.quote(prices, booking.slot, booking.quantity).minor,
        "owed_minor": 0,
        "created_at": now,
        **kept,
        **terms,
    }
