"""Who may say what a use was like."""

from datetime import datetime

from sqlalchemy.orm import Session

from booking import queries
from booking.ratings import actions as ratings
from booking.ratings import queries as rated
from booking.ratings.tables import Rating
from booking.tables import Booking
from marketplace.permissions import Actor
from marketplace.refusals import NotAllowed
from web.checkout import is_own


def speaks_for_customer(actor: Actor, booking: Booking) -> bool:
    """The customer's side; whoever works for the house does not rate its equipment."""
    return is_own(actor, booking) and booking.institution_id not in actor.institutions()


def may_rate(session: Session, actor: Actor, booking: Booking, *, now: datetime) -> bool:
    return speaks_for_customer(actor, booking) and rated.may_rate(booking, rated.find_rating(session, booking.id), now=now)


def rate(session: Session, *, actor: Actor, booking_id: str, stars: int, comment: str | None, now: datetime) -> Rating:
    """Raises: NotFound, NotAllowed, WrongState, Invalid."""
    found = queries.get_booking_for(session, actor, booking_id)
    if not speaks_for_customer(actor, found):
        raise NotAllowed(action="rate")
    return ratings.rate(session, booking_id=booking_id, stars=stars, comment=comment, actor_id=actor.known_id, now=now)
