"""What becomes of the bookings that an outage meets: proposed first, carried out when it is approved."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import queries, terms
from booking.admission import LOOK_AROUND, Wish, decide
from booking.occupancy import Taken
from booking.outages.actions import affected_by
from booking.places import Place, get_place, load_places
from booking.queries import Claims
from booking.tables import Booking
from marketplace.slot import Slot
from marketplace.tables import ListingState, Resource

MOST_SUBSTITUTES = 20
MOST_LOOKED_AT = 100
"""Machines of a kind among which like ones are sought."""
WORD = re.compile(r"(?=([\u4e00-\u9fff]{2}))|([^\W\d_\u4e00-\u9fff]{2,})")
DAYS_AROUND = (1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7)
"""The same hours of a near day suit a customer better than an odd hour nearer by."""


class Step(StrEnum):
    KEEP = "keep"
    SHIFT = "shift"
    MOVE = "move"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Proposal:
    """For one booking: keep it, shift it to `slot`, move it to `resource_id` at the same time, or cancel it free of charge."""

    booking: Booking
    step: Step
    slot: Slot | None = None
    resource_id: str | None = None


Placed = tuple[Proposal, Place]
"""A proposal with the place that the booking has then."""
Suits = Callable[[Booking, str], bool]
"""Whether a booking may go to that resource of another institution, which has prices and ways to pay of its own."""


def at_home(_booking: Booking, _resource_id: str) -> bool:
    """Nothing goes to another institution."""
    return False


def propose(session: Session, *, resource_id: str, slot: Slot, now: datetime, suits: Suits = at_home) -> list[Proposal]:
    """The mildest step for each booking that an outage of `slot` would meet, in order; a line's is shifted or moved as a whole.

    What has begun is kept. The others are shifted to the same hours of a day within a week or to the nearest time within two,
    moved to a like machine of the house that costs no more, or to one of another institution that `suits` and confirms at once,
    or cancelled. Together they can be carried out in this order. Raises: NotFound.
    """
    closed = {resource_id: [Taken("outage", unit, 0, slot) for unit in range(get_place(session, resource_id).capacity)]}
    met = affected_by(session, resource_id=resource_id, slot=slot)
    places, found = load_places(session, {booking.resource_id for booking in met}), list[Placed]()
    for booking in met:
        found.append(_mildest(session, places[booking.resource_id], booking, closed, found, suits, now))
    return [proposal for proposal, _ in found]


def _mildest(
    session: Session, place: Place, booking: Booking, closed: Claims, earlier: Sequence[Placed], suits: Suits, now: datetime
) -> Placed:
    if booking.starts_at <= now:
        return Proposal(booking, Step.KEEP), place
    if slot := _nearest(session, place.attended_for(wanted=booking.assisted), booking, closed, earlier, now):
        return Proposal(booking, Step.SHIFT, slot=slot), place
    for other in _substitutes(session, place, booking, suits):
        claims = _claims(session, other, booking.slot, booking, closed, earlier)
        wish = wish_of(booking, resource_id=other.resource_id)
        if not decide(session, other, wish, claims, now=now, ignoring=[booking.id]).reasons:
            return Proposal(booking, Step.MOVE, slot=booking.slot, resource_id=other.resource_id), other
    return Proposal(booking, Step.CANCEL), place


def _nearest(
    session: Session, place: Place, booking: Booking, closed: Claims, earlier: Sequence[Placed], now: datetime
) -> Slot | None:
    window = booking.slot.widen(LOOK_AROUND, LOOK_AROUND).clip(place.rules.window(now))
    if window is None or place.state is not ListingState.PUBLISHED:
        return None
    free = queries.free_in(place, _claims(session, place, window, booking, closed, earlier), window, booking.quantity)
    for days in DAYS_AROUND:
        there = same_hours(booking.slot, days, place.zone)
        if any(span.contains(there) for span in free) and place.rules.window(now).contains(there):
            return there
    return next(iter(terms.alternatives(free, booking.slot, rules=place.rules, zone=place.zone, now=now)), None)


def same_hours(slot: Slot, days: int, zone: ZoneInfo) -> Slot:
    """As long as `slot`, begun at the same wall-clock time so many days later.

    >>> from datetime import UTC
    >>> berlin = ZoneInfo("Europe/Berlin")
    >>> nine = Slot(datetime(2027, 3, 27, 9, tzinfo=berlin), datetime(2027, 3, 27, 11, tzinfo=berlin))
    >>> same_hours(nine, 1, berlin) == Slot(datetime(2027, 3, 28, 7, tzinfo=UTC), datetime(2027, 3, 28, 9, tzinfo=UTC))
    True
    """
    start = slot.start.astimezone(zone) + timedelta(days=days)
    return Slot(start, start.astimezone(UTC) + slot.duration)


def _claims(session: Session, place: Place, within: Slot, booking: Booking, closed: Claims, earlier: Sequence[Placed]) -> Claims:
    """What stands in the way once the outage and the earlier proposals are carried out: what those leave is free."""
    gone = [one.booking.id for one, _ in earlier if one.step is not Step.KEEP]
    claims: dict[str, list[Taken]] = defaultdict(list)
    for known in (queries.taken(session, place.claimed, within=within, ignoring=[booking.id, *gone]), closed):
        for resource_id in known.keys() & set(place.claimed):
            claims[resource_id] += known[resource_id]
    for one, target in earlier:
        spans = target.rules.buffers.spans(one.slot) if one.slot else []
        for resource_id, capacity in _taken_along(target).items():
            units = range(capacity) if resource_id in place.claimed else ()
            claims[resource_id] += [Taken(one.booking.id, unit, lane, s) for unit in units for lane, s in enumerate(spans)]
    return claims


def _taken_along(place: Place) -> dict[str, int]:
    """Units by machine that a use may take: all of them, as nobody knows yet which."""
    return {place.resource_id: place.capacity, **{part.resource_id: part.capacity for part in place.parts}}


def _substitutes(session: Session, place: Place, booking: Booking, suits: Suits) -> Iterator[Place]:
    """Like machines that cost no more: those of the house first, then those of others that grant the time without being asked."""
    own = session.get_one(Resource, place.resource_id)
    yield from _places(session, [one for one in _cheaper(session, own, booking) if one.institution_id == own.institution_id])
    if suits is at_home:
        return
    others = [one for one in _cheaper(session, own, booking, elsewhere=True) if suits(booking, one.id)]
    yield from (place for place in _places(session, others) if not place.rules.asks(booking.organisation_id))


def _places(session: Session, resources: Sequence[Resource]) -> list[Place]:
    ids = [one.id for one in resources[:MOST_SUBSTITUTES]]
    places = load_places(session, ids)
    return [places[one] for one in ids if one in places]


def _cheaper(session: Session, own: Resource, booking: Booking, *, elsewhere: bool = False) -> list[Resource]:
    """Published ones like it, the nearest in price first; elsewhere those of its district before all."""
    house = Resource.institution_id != own.institution_id if elsewhere else Resource.institution_id == own.institution_id
    asked = (
        select(Resource)
        .where(house, Resource.state == ListingState.PUBLISHED, Resource.kind == own.kind, Resource.id != own.id)
        .where(Resource.timezone == own.timezone, Resource.chain.is_not_distinct_from(own.chain))
        .where(Resource.currency == own.currency, Resource.price_minor <= own.price_minor, Resource.capacity >= booking.quantity)
        .order_by(Resource.price_minor.desc(), Resource.id)
        .limit(MOST_LOOKED_AT)
    )
    like = [one for one in session.scalars(asked) if _alike(own, one, named=elsewhere)]
    return sorted(like, key=lambda one: elsewhere and one.district != own.district)


def _alike(one: Resource, other: Resource, *, named: bool) -> bool:
    """With a tag in common; where neither has any, of a like name, or of any where they need not be `named` alike."""
    tags, others = _tags(one), _tags(other)
    if tags or others:
        return bool(tags & others)
    return not named or bool(_names(one) & _names(other))


def _tags(resource: Resource) -> set[str]:
    return {word for tag in resource.tags for word in tag.values()}


def _names(resource: Resource) -> set[str]:
    """Words of its names: in Chinese every two characters, else runs of letters."""
    found = WORD.finditer(f"{resource.name} {resource.name_en or ''}".casefold())
    return {match.group(1) or match.group(2) for match in found}


def wish_of(booking: Booking, *, resource_id: str | None = None, slot: Slot | None = None) -> Wish:
    """The booking as it would be asked for anew, elsewhere or at another time."""
    asked = Wish(
        booking.resource_id,
        booking.slot,
        booking.person_id,
        booking.organisation_id,
        booking.category,
        booking.quantity,
        booking.purpose,
        assisted=booking.assisted,
    )
    return replace(asked, resource_id=resource_id or booking.resource_id, slot=slot or booking.slot)
