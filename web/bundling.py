"""Bookings that were made together, cancelled together."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from booking import queries
from booking.places import lock_places_of
from booking.states import HOLDING
from booking.tables import Booking
from marketplace.money import Money
from marketplace.permissions import Actor
from marketplace.refusals import WrongState
from web import checkout


def ahead_of(rows: Sequence[Booking], now: datetime) -> list[Booking]:
    """Those that can still be cancelled."""
    return [row for row in rows if row.state in HOLDING and row.starts_at > now]


def cancel_bundle(session: Session, *, actor: Actor, bundle_id: str, now: datetime) -> list[tuple[Booking, Money]]:
    """Cancel every part that has not begun, all or none; each with its fee.

    Raises: NotFound, NotAllowed, WrongState (there is nothing left to cancel).
    """
    found = queries.bookings_of_bundle_for(session, actor, bundle_id)
    lock_places_of(session, {row.id for row in found})
    ahead = ahead_of(found, now)
    if not ahead:
        raise WrongState(state="over", move="cancel")
    return [checkout.cancel(session, actor=actor, booking_id=row.id, now=now) for row in ahead]
