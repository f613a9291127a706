"""Keeps an occurrence that is moved alone in its series."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from booking.tables import Booking, BookingSeries, MovedOccurrence


def note_move(session: Session, booking: Booking) -> None:
    """Remember where the rule of its series has a booking that is about to be moved; the first move tells.

    Whoever edits the series with what they read before must read again.
    """
    if booking.series_id is None:
        return
    if session.get(MovedOccurrence, booking.id) is None:
        row = {"booking_id": booking.id, "series_id": booking.series_id}
        session.add(MovedOccurrence(**row, starts_at=booking.starts_at, ends_at=booking.ends_at))
    newer = update(BookingSeries).where(BookingSeries.id == booking.series_id)
    session.execute(newer.values(version=BookingSeries.version + 1))
