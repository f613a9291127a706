"""What another policy would have made of the last quarter's bills: each is worked out again from the same use or cancellation.

Prices stay those of acceptance unless the policy has others than a booking's own: then they are the listing's and the customer's
class's of today. What was agreed in a dispute, and what came back because others took the time, is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import policy as policies
from billing import pricing, queries
from billing.actions import TAKEN_UP, charge_of
from billing.policy import Policy
from billing.quotes.queries import Terms, Use, accepted_prices, buffers_of, frozen_prices, price_list
from billing.tables import BookingQuote
from billing.tariffs.choosing import PriceList
from booking.occupancy import Buffers
from booking.queries import bookings_of_resource
from booking.states import BookingState
from booking.tables import Booking
from devices.queries import uses_of_bookings
from devices.tables import ConfirmedUse
from marketplace.catalogue.queries import get_resource
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.slot import Slot
from marketplace.tables import Organisation, Resource

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
    others, proposed = _others(session, resource_id, span), _proposed(session, resource_id, policy, rows)
    bills = []
    for row in rows:
        quote, use = quotes.get(row.id), uses.get(row.id)
        if quote and (use or _cost_something(row)):
            own = policies.parse(quote.policy)
            before = _bill(row, quote, use, own, frozen_prices(quote, own), others)
            after = _bill(row, quote, use, policy, proposed.prices(row, quote, own), others)
            bills.append(Rebilled(row, before, after))
    return Effect(span, bills, len(found) <= MOST)


@dataclass(frozen=True, slots=True)
class _Proposed:
    """The policy that is looked at, and what its prices depend on."""

    policy: Policy
    resource: Resource
    firms: Mapping[str, Organisation]
    clear: Mapping[str, Buffers]
    """By booking, what its claims keep clear around it, where the policy bills that."""

    def prices(self, row: Booking, quote: BookingQuote, own: Policy) -> PriceList:
        """What time would have cost a booking."""
        kept = Buffers(timedelta(seconds=quote.setup_s), timedelta(seconds=quote.cleanup_s))
        use = Use(quote.assisted, self.clear.get(row.id, kept))
        firm, place = self.firms.get(row.organisation_id or ""), self.resource
        same = (own.class_prices, own.tariff) == (self.policy.class_prices, self.policy.tariff)
        if firm is None or same or place.currency != quote.currency:
            policy = self.policy if firm else policies.without_prices(self.policy)
            return accepted_prices(policy, Money(quote.price_minor, quote.currency), quote.price_class, quote.timezone, use)
        terms = Terms(self.policy, ZoneInfo(quote.timezone))
        return price_list(place.price, place.institution_id, terms, firm, use)[0]


def _proposed(session: Session, resource_id: str, policy: Policy, rows: Sequence[Booking]) -> _Proposed:
    firms = people.organisations(session, {row.organisation_id for row in rows if row.organisation_id})
    clear = buffers_of(session, rows) if policy.setup_billed or policy.cleanup_billed else {}
    return _Proposed(policy, get_resource(session, resource_id), {one.id: one for one in firms}, clear)


def _others(session: Session, resource_id: str, span: Slot) -> Sequence[Booking]:
    """Whose time may be what another booking let go of."""
    if get_resource(session, resource_id).capacity > 1:
        return []
    return [row for row in bookings_of_resource(session, resource_id, within=span) if row.state in TAKEN_UP]


def _cost_something(row: Booking) -> bool:
    """Whether it was cancelled when that could cost something."""
    return row.state is BookingState.CANCELLED and row.decided_at is not None and not row.cancelled_by_provider


def _bill(
    row: Booking,
    quote: BookingQuote,
    use: ConfirmedUse | None,
    terms: Policy,
    prices: PriceList,
    others: Sequence[Booking],
) -> Money:
    if use is not None:
        resold = others if terms.unused_free_if_rebooked else ()
        taken = [one.slot for one in resold if one.id != row.id and one.slot.overlaps(quote.slot)]
        return charge_of(quote, use, taken, terms, prices).amount
    quoted, owed = pricing.quote(prices, quote.slot, quote.quantity), Money(quote.owed_minor, quote.currency)
    at, zone = row.cancelled_at or row.starts_at, ZoneInfo(quote.timezone)
    return max(pricing.cancellation_fee(quoted, quote.slot, terms, cancelled_at=at, zone=zone), owed)
