"""Writes of why requests end."""

from datetime import datetime

from sqlalchemy.orm import Session

from booking import actions
from booking.actions import CancelledBy
from booking.requests.tables import Grounds, RequestEnd
from booking.tables import Booking
from booking.telling import Told
from marketplace.people.text import clean

LONGEST_REASON = 1000


def refuse(session: Session, *, booking_id: str, grounds: Grounds, reason: str | None, actor_id: str, now: datetime) -> Booking:
    """Turn a request down and keep why. Raises: NotFound, WrongState, Invalid."""
    text = read_reason(reason)
    booking = actions.refuse(session, booking_id=booking_id, actor_id=actor_id, now=now)
    _keep(session, booking, grounds, text, actor_id, now)
    return booking


def cancel(
    session: Session,
    *,
    booking_id: str,
    by: CancelledBy,
    reason: str | None,
    actor_id: str,
    now: datetime,
    told: Told = Told.ALONE,
) -> Booking:
    """`booking.actions.cancel`; of a request that its customer takes back is kept why. Raises: NotFound, WrongState, Invalid."""
    text = read_reason(reason)
    booking = actions.cancel(session, booking_id=booking_id, by=by, actor_id=actor_id, now=now, told=told)
    if booking.decided_at is None and booking.hold_until is None and by is CancelledBy.CUSTOMER:
        _keep(session, booking, Grounds.WITHDRAWN, text, actor_id, now)
    return booking


def read_reason(reason: str | None) -> str | None:
    """Trimmed, on one line; none where nothing was said. Raises: Invalid."""
    said = " ".join((reason or "").split())
    return clean(said, field="reason", longest=LONGEST_REASON) if said else None


def _keep(session: Session, booking: Booking, grounds: Grounds, reason: str | None, actor_id: str, now: datetime) -> None:
    session.add(RequestEnd(booking_id=booking.id, grounds=grounds, reason=reason, ended_by=actor_id, ended_at=now))
    session.flush()
