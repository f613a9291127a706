"""Reads of until when one may check in."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.orm import Session

from booking.places import rules_of_versions
from booking.tables import Booking


def check_in_by(session: Session, booking: Booking) -> datetime | None:
    """From when on nobody can check in, by the rules that it was accepted under; None where that is its end."""
    return check_in_limits(session, [booking]).get(booking.id)


def check_in_limits(session: Session, bookings: Collection[Booking]) -> dict[str, datetime]:
    """The same of many, by booking; those to which one may check in to the end are left out."""
    rules = rules_of_versions(session, {one.rules_id for one in bookings})
    limits = {one.id: (rules[one.rules_id].check_in_by(one.slot), one.ends_at) for one in bookings}
    return {booking_id: by for booking_id, (by, end) in limits.items() if by < end}
