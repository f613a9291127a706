"""What becomes of the bookings that an outage meets: proposed first, carried out when it is approved."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking import competence, queries, terms
from booking.admission import LOOK_AROUND, Wish, decide, overridden, use_of
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


MOST_SOUGHT = 300
"""Bookings of one plan for which another time or machine is sought; each that was found one is looked at for the next."""


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

    What has begun is kept, and what only waits for a timer to end it. The others are shifted to the same hours of a day within a
    week or to the nearest time within two, moved to a like machine of the house that costs no more, or to one of another
    institution that `suits` and confirms at once, or cancelled, as all beyond MOST_SOUGHT are. Admission grants each of them:
    together they can be carried out in this order. Raises: NotFound.
    """
    closed = {resource_id: [Taken("outage", unit, 0, slot) for unit in range(get_place(session, resource_id).capacity)]}
    met = affected_by(session, resource_id=resource_id, slot=slot)
    places, found = load_places(session, {booking.resource_id for booking in met}), list[Placed]()
    substitutes = Substitutes(session, suits)
    for booking in met[:MOST_SOUGHT]:
        found.append(_mildest(session, places[booking.resource_id], booking, closed, found, substitutes, now))
    return [*(proposal for proposal, _ in found), *(Proposal(booking, Step.CANCEL) for booking in met[MOST_SOUGHT:])]


def broken(session: Session, place: Place, booking: Booking, *, now: datetime) -> frozenset[str]:
    """Codes of rules that a booking breaks where it stands: they do not forbid its provider to put it elsewhere for an outage.

    They bind the customer and were met, or set aside, when it was accepted; where one forbids the same length or hours today it
    is the provider's own outage that asks again. So a step by plan counts as the publisher's override of these, and of no other:
    not of taken time, capacity or the past, which nobody sets aside, nor of what the booker lacks to work there safely.
    """
    stays = replace(wish_of(booking), override="")
    return frozenset(overridden(session, place, stays, now=now, ignoring=[booking.id])) - competence.CODES


def _mildest(
    session: Session,
    place: Place,
    booking: Booking,
    closed: Claims,
    earlier: Sequence[Placed],
    like: Substitutes,
    now: datetime,
) -> Placed:
    if booking.starts_at <= now or booking.is_over(now):
        return Proposal(booking, Step.KEEP), place
    codes = broken(session, place, booking, now=now)
    stays = replace(wish_of(booking), override="" if codes else None, only=codes)
    if slot := _nearest(session, place.attended_for(wanted=booking.assisted), booking, stays, closed, earlier, now):
        return Proposal(booking, Step.SHIFT, slot=slot), place
    for other in like.of(place, booking):
        at_home = other.institution_id == place.institution_id
        wish = replace(stays if at_home else wish_of(booking), resource_id=other.resource_id)
        claims = _claims(session, other, booking.slot, booking, closed, earlier)
        if _grants(session, other, wish, claims, booking, earlier, now):
            return Proposal(booking, Step.MOVE, slot=booking.slot, resource_id=other.resource_id), other
    return Proposal(booking, Step.CANCEL), place


def _nearest(
    session: Session, place: Place, booking: Booking, stays: Wish, closed: Claims, earlier: Sequence[Placed], now: datetime
) -> Slot | None:
    """Of the times that look free the first one that admission grants."""
    eased = replace(place, rules=terms.eased(place.rules, stays.only or ()))
    possible = eased.rules.window(now)
    window = booking.slot.widen(LOOK_AROUND, LOOK_AROUND).clip(possible)
    if window is None or place.state is not ListingState.PUBLISHED:
        return None
    claims = _claims(session, place, window, booking, closed, earlier)
    free = queries.free_in(eased, claims, window, booking.quantity)
    days = [same_hours(booking.slot, days, place.zone) for days in DAYS_AROUND]
    near = [there for there in days if possible.contains(there) and any(span.contains(there) for span in free)]
    found = [*near, *terms.alternatives(free, booking.slot, rules=eased.rules, zone=place.zone, now=now)]
    wishes = (replace(stays, slot=slot) for slot in found)
    return next((wish.slot for wish in wishes if _grants(session, place, wish, claims, booking, earlier, now)), None)


def _grants(
    session: Session, place: Place, wish: Wish, claims: Claims, booking: Booking, earlier: Sequence[Placed], now: datetime
) -> bool:
    """Whether the place takes the booking by `wish`, once the earlier proposals are carried out."""
    gone, beside = [booking.id, *_gone(earlier)], _beside(place, earlier)
    return not decide(session, place, wish, claims, now=now, ignoring=gone, beside=beside).reasons


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
    gone = _gone(earlier)
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


def _gone(earlier: Sequence[Placed]) -> list[str]:
    """The bookings that are not where they were by then."""
    return [one.booking.id for one, _ in earlier if one.step is not Step.KEEP]


def _beside(place: Place, earlier: Sequence[Placed]) -> list[Use]:
    """What is had of the place by earlier proposals: it counts against quotas there."""
    return [
        use_of(wish_of(one.booking, slot=one.slot))
        for one, target in earlier
        if one.slot is not None and target.resource_id == place.resource_id
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
