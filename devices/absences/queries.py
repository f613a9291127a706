"""Reads of running bookings to which nobody has come, by what meters tell at this moment."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from booking.presence.queries import check_in_by, check_in_limits
from booking.rules.checks import BOUNDS
from booking.states import BookingState
from booking.tables import Booking, RuleVersion
from devices import confirming
from devices.live.queries import Live, live_states
from devices.matching import Verdict
from marketplace.tables import Message

KIND = "booking_absent"
CAUSE = f":{KIND}"
"""Behind the booking's id it is the cause of its one message, by which those are known that were told."""
WATCHED = timedelta(minutes=30)
"""So long after the time to check in it is looked at: what the meter had missed first weighs less and less."""
SHORTEST, LONGEST = (timedelta(minutes=bound) for bound in BOUNDS["check_in_grace_min"])
AT_ONCE = 200
"""Bookings of which what the meter saw is worked out in one run."""


def absent(session: Session, *, now: datetime) -> Sequence[Booking]:
    """Those of which nobody was told yet; who should have checked in last comes first."""
    told = exists().where(Message.cause == Booking.id.concat(CAUSE))
    waiting = (
        select(Booking)
        .join(RuleVersion, (RuleVersion.id == Booking.rules_id) & RuleVersion.check_in_grace_min.is_not(None))
        .where(Booking.state == BookingState.CONFIRMED, Booking.ends_at > now, Booking.checked_in_at.is_(None), ~told)
        .where(Booking.starts_at <= now - SHORTEST, Booking.starts_at > now - LONGEST - WATCHED)
    )
    rows = session.scalars(waiting).all()
    limits = check_in_limits(session, rows)
    late = [row for row in rows if row.id in limits and limits[row.id] <= now < limits[row.id] + WATCHED]
    live = live_states(session, {row.resource_id for row in late}, now=now) if late else {}
    idle = [row for row in late if live[row.resource_id].state is Live.FREE]
    idle.sort(key=lambda row: limits[row.id], reverse=True)
    return [row for row in idle[:AT_ONCE] if is_absent(session, row, now=now)]


def is_absent(session: Session, row: Booking, *, now: datetime) -> bool:
    """Whether nobody has checked in in time and the equipment stood visibly idle since the start: a no-show so far.

    Where nothing measures it, or it was not seen for long enough, nobody is called absent.
    """
    runs = row.state is BookingState.CONFIRMED and row.starts_at < now < row.ends_at
    if not runs or row.checked_in_at or row.finished_at:
        return False
    by = check_in_by(session, row)
    return by is not None and by <= now and confirming.use_so_far(session, row, now=now).verdict is Verdict.NO_SHOW
