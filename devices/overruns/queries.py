"""Reads of uses that run into the next booking, by what meters tell at this moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from booking.states import BookingState
from booking.tables import Booking
from devices.live.queries import Live, live_states
from devices.matching import OVERRUN_MAX
from marketplace.tables import Resource

AHEAD, BEHIND = timedelta(minutes=30), timedelta(minutes=15)
"""The next one hears of it so long before its start, and so long after."""
GRACE = timedelta(minutes=2)
"""Who is packing up is not late."""
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Overrun:
    """`late` should be over, and its run goes on; `waits` is next."""

    late: Booking
    waits: Booking
    since: datetime
    """When the run began."""


def overruns(session: Session, *, now: datetime) -> Sequence[Overrun]:
    """Of equipment of one unit that is seen to run unbroken since before the last booking's end, the next being another's."""
    late, waits = aliased(Booking), aliased(Booking)
    met = (
        select(late, waits)
        .join(Resource, (Resource.id == late.resource_id) & (Resource.capacity == 1))
        .join(waits, (waits.resource_id == late.resource_id) & (waits.starts_at >= late.ends_at))
        .where(late.state.in_([BookingState.CONFIRMED, BookingState.COMPLETED]), late.person_id != waits.person_id)
        .where(late.ends_at > now - OVERRUN_MAX, late.ends_at <= now - GRACE)
        .where(waits.state == BookingState.CONFIRMED, waits.starts_at > now - BEHIND, waits.starts_at <= now + AHEAD)
        .order_by(waits.starts_at)
        .limit(AT_ONCE)
    )
    pairs = session.execute(met).all()
    live = live_states(session, {one.resource_id for one, _ in pairs}, now=now)
    found = []
    for one, other in pairs:
        seen = live[one.resource_id]
        if seen.state is Live.IN_USE and seen.since and seen.since < one.ends_at:
            found.append(Overrun(one, other, seen.since))
    return found
