"""Reads of lines, of shared parts, and of the bookings of those that a part is taken along with."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.states import HOLDING
from booking.tables import Booking, SharedPart
from marketplace.tables import Resource


def lines_above(session: Session, resource_id: str) -> list[str]:
    """The line it is a station of, the line that is a part of, and so on; empty for what stands alone."""
    found: list[str] = []
    above = session.scalar(select(Resource.parent_id).where(Resource.id == resource_id))
    while above is not None and above not in found:
        found.append(above)
        above = session.scalar(select(Resource.parent_id).where(Resource.id == above))
    return found


def sharers_of(session: Session, part_id: str) -> list[str]:
    """Those that take one unit of the part along, in the order of their ids, and the lines above them."""
    own = session.scalars(select(SharedPart.resource_id).where(SharedPart.part_id == part_id).order_by(SharedPart.resource_id))
    return list(dict.fromkeys(one for sharer in own.all() for one in (sharer, *lines_above(session, sharer))))


def shared_by(session: Session, resource_id: str) -> list[str]:
    """The parts that a use of the resource takes one unit of, in the order of their ids."""
    own = select(SharedPart.part_id).where(SharedPart.resource_id == resource_id).order_by(SharedPart.part_id)
    return list(session.scalars(own))


def bookings_of_lines(session: Session, resource_ids: Collection[str], *, after: datetime) -> Sequence[Booking]:
    """What holds their claims and ends after `after`."""
    asked = select(Booking).where(Booking.resource_id.in_(resource_ids), Booking.state.in_(HOLDING), Booking.ends_at > after)
    return session.scalars(asked.order_by(Booking.starts_at)).all()
