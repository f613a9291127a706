"""What becomes of the bookings that an outage meets: proposed first, carried out when it is approved."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking import queries, terms
from booking.admission import LOOK_AROUND, Wish, decide, use_of
from booking.occupancy import Taken
from booking.outages.actions import affected_by
from booking.outages.substitutes import Substitutes, Suits, at_home
from booking.places import Place, get_place, load_places
from booking.queries import Claims
from booking.quotas import Use
from booking.tables import Booking
from booking.writing import spans_of
from marketplace.slot import Slot
from marketplace.tables import ListingState

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


def propose(session: Session, *, resource_id: str, slot: Slot, now: datetime, suits: Suits = at_home) -> list[Proposal]:
    """The mildest step for each booking that an outage of `slot` would meet, in order; a line's is shifted or moved as a whole.

    What has begun is kept. The others are shifted to the same hours of a day within a week or to the nearest time within two,
    moved to a like machine of the house that costs no more, or to one of another institution that `suits` and confirms at once,
    or cancelled. Together they can be carried out in this order. Raises: NotFound.
    """
    closed = {resource_id: [Taken("outage", unit, 0, slot) for unit in range(get_place(session, resource_id).capacity)]}
    met = affected_by(session, resource_id=resource_id, slot=slot)
    places, found = load_places(session, {booking.resource_id for booking in met}), list[Placed]()
    substitutes = Substitutes(session, suits)
    for booking in met:
        found.append(_mildest(session, places[booking.resource_id], booking, closed, found, substitutes, now))
    return [proposal for proposal, _ in found]


def _mildest(
    session: Session,
    place: Place,
    booking: Booking,
    closed: Claims,
    earlier: Sequence[Placed],
    like: Substitutes,
    now: datetime,
) -> Placed:
    if booking.starts_at <= now:
        return Proposal(booking, Step.KEEP), place
    if slot := _nearest(session, place.attended_for(wanted=booking.assisted), booking, closed, earlier, now):
        return Proposal(booking, Step.SHIFT, slot=slot), place
    for other in like.of(place, booking):
        claims = _claims(session, other, booking.slot, booking, closed, earlier)
        wish, beside = wish_of(booking, resource_id=other.resource_id), _beside(other, booking, earlier)
        if not decide(session, other, wish, claims, now=now, ignoring=[booking.id], beside=beside).reasons:
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
    for one, there in earlier:
        target = there.attended_for(wanted=one.booking.assisted)
        for resource_id, capacity in _taken_along(target).items():
            spans = spans_of(resource_id, one.slot, target.rules.buffers) if one.slot else []
            units = range(capacity) if resource_id in place.claimed else ()
            claims[resource_id] += [Taken(one.booking.id, unit, lane, s) for unit in units for lane, s in enumerate(spans)]
    return claims


def _beside(place: Place, booking: Booking, earlier: Sequence[Placed]) -> list[Use]:
    """What the same customer gets of the place by earlier proposals: it counts against their quotas there."""
    return [
        use_of(wish_of(one.booking, slot=one.slot))
        for one, target in earlier
        if target.resource_id == place.resource_id
        and one.booking.resource_id != place.resource_id
        and one.booking.organisation_id == booking.organisation_id
    ]


def _taken_along(place: Place) -> dict[str, int]:
    """Units by machine and operator that a use may take: all of them, as nobody knows yet which."""
    staff = {one.resource_id: 1 for one in place.attendants} if place.attended else {}
    return {place.resource_id: place.capacity, **{part.resource_id: part.capacity for part in place.parts}, **staff}


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
