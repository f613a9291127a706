"""Reads of until when one may check in."""

from datetime import datetime

from sqlalchemy.orm import Session

from booking.places import rules_of_versions
from booking.tables import Booking


def check_in_by(session: Session, booking: Booking) -> datetime | None:
    """From when on nobody can check in, by the rules that it was accepted under; None where that is its end."""
    rules = rules_of_versions(session, [booking.rules_id])[booking.rules_id]
    by = rules.check_in_by(booking.slot)
    return by if by < booking.ends_at else None
