"""Reads of lines and their bookings."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.states import HOLDING
from booking.tables import Booking
from marketplace.tables import Resource


def lines_above(session: Session, resource_id: str) -> list[str]:
    """The line it is a station of, the line that is a part of, and so on; empty for what stands alone."""
    found: list[str] = []
    above = session.scalar(select(Resource.parent_id).where(Resource.id == resource_id))
    while above is not None and above not in found:
        found.append(above)
        above = session.scalar(select(Resource.parent_id).where(Resource.id == above))
    return found


def bookings_of_lines(session: Session, resource_ids: Collection[str], *, after: datetime) -> Sequence[Booking]:
    """What holds their claims and ends after `after`."""
    asked = select(Booking).where(Booking.resource_id.in_(resource_ids), Booking.state.in_(HOLDING), Booking.ends_at > after)
    return session.scalars(asked.order_by(Booking.starts_at)).all()
