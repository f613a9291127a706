"""What has become of the other parts of a bundle."""

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, aliased

from booking.states import BookingState
from booking.tables import Booking

NOT_GRANTED = (BookingState.REFUSED, BookingState.EXPIRED)


def is_left_over(session: Session, booking: Booking) -> bool:
    """Whether an institution declined another part of its bundle, or never answered: it has no use without that one.

    A part that stood once and was moved, or that its customer did not pay for, is the customer's own doing.
    """
    if booking.bundle_id is None:
        return False
    other = aliased(Booking)
    never = other.decided_at.is_(None), other.hold_until.is_(None), other.state.in_(NOT_GRANTED)
    return bool(session.scalar(select(exists().where(other.bundle_id == booking.bundle_id, other.id != booking.id, *never))))
