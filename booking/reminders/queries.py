"""Reads of bookings that begin soon."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from booking.states import BookingState
from booking.tables import Booking
from marketplace.inbox.tables import Reminder

AHEAD = timedelta(hours=24)
AT_ONCE = 200
"""Bookings one run looks at."""


def bookings_to_remind(session: Session, *, now: datetime) -> Sequence[Booking]:
    """Confirmed bookings that begin within 24 hours and whose present start nobody has looked at, soonest first, locked."""
    noted = exists().where(Reminder.subject_id == Booking.id, Reminder.event_at == Booking.starts_at)
    soon = select(Booking).where(
        Booking.state == BookingState.CONFIRMED, Booking.starts_at > now, Booking.starts_at <= now + AHEAD, ~noted
    )
    return session.scalars(soon.order_by(Booking.starts_at).limit(AT_ONCE).with_for_update(skip_locked=True)).all()
