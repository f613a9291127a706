"""What another policy would have made of the last quarter's bills: each is worked out again from the same use or cancellation.

Prices stay those of acceptance. What was agreed in a dispute, and what came back because others took the time, is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import policy as policies
from billing import pricing, queries
from billing.actions import TAKEN_UP, charge_of
from billing.policy import Policy
from billing.tables import BookingQuote
from booking.queries import bookings_of_resource
from booking.states import BookingState
from booking.tables import Booking
from devices.queries import uses_of_bookings
from devices.tables import ConfirmedUse
from marketplace.catalogue.queries import get_resource
from marketplace.money import Money
from marketplace.slot import Slot

QUARTER = timedelta(days=92)
MOST = 1000
"""Bookings that are looked at, the newest ones."""
BILLED = (BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Rebilled:
    """A booking's bill by its own policy, and by the other one."""

    booking: Booking
    before: Money
    after: Money


@dataclass(frozen=True, slots=True)
class Effect:
    """The bills of bookings that began in `span`, the newest first; `all_seen` unless there were more of them."""

    span: Slot
    bills: Sequence[Rebilled]
    all_seen: bool


def effect(session: Session, *, resource_id: str, policy: Policy, now: datetime) -> Effect:
    """Of `policy` on bookings of the resource that began in the last 92 days. Reads only."""
    span = Slot(now - QUARTER, now)
    asked = select(Booking).where(Booking.resource_id == resource_id, Booking.state.in_(BILLED))
    within = asked.where(Booking.starts_at >= span.start, Booking.starts_at < span.end)
    found = session.scalars(within.order_by(Booking.starts_at.desc()).limit(MOST + 1)).all()
    rows = found[:MOST]
    ids = [row.id for row in rows]
    quotes, uses = queries.quotes_of_bookings(session, ids), uses_of_bookings(session, ids)
    others = _others(session, resource_id, span)
    bills = []
    for row in rows:
        quote, use = quotes.get(row.id), uses.get(row.id)
        if quote and (use or _cost_something(row)):
            own = policies.parse(quote.policy)
            bills.append(Rebilled(row, *(_bill(row, quote, use, terms, others) for terms in (own, policy))))
    return Effect(span, bills, len(found) <= MOST)


def _others(session: Session, resource_id: str, span: Slot) -> Sequence[Booking]:
    """Whose time may be what another booking let go of."""
    if get_resource(session, resource_id).capacity > 1:
        return []
    return [row for row in bookings_of_resource(session, resource_id, within=span) if row.state in TAKEN_UP]


def _cost_something(row: Booking) -> bool:
    """Whether it was cancelled when that could cost something."""
    return row.state is BookingState.CANCELLED and row.decided_at is not None and not row.cancelled_by_provider


def _bill(row: Booking, quote: BookingQuote, use: ConfirmedUse | None, terms: Policy, others: Sequence[Booking]) -> Money:
    if use is not None:
        resold = others if terms.unused_free_if_rebooked else ()
        taken = [one.slot for one in resold if one.id != row.id and one.slot.overlaps(quote.slot)]
        return charge_of(quote, use, taken, terms).amount
    quoted, owed = Money(quote.quote_minor, quote.currency), Money(quote.owed_minor, quote.currency)
    at, zone = row.cancelled_at or row.starts_at, ZoneInfo(quote.timezone)
    return max(pricing.cancellation_fee(quoted, quote.slot, terms, cancelled_at=at, zone=zone), owed)
