"""Reads of ratings."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from booking.ratings.tables import Rating
from booking.states import BookingState
from booking.tables import Booking

RATE_WITHIN = timedelta(days=90)
"""After the end of the use; later nobody remembers it."""
EDIT_WITHIN = timedelta(days=14)
"""After the first word."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The average of a listing's ratings to one place, and how many there are."""

    average: Decimal
    count: int


def find_rating(session: Session, booking_id: str) -> Rating | None:
    return session.get(Rating, booking_id)


def may_rate(booking: Booking, rating: Rating | None, *, now: datetime) -> bool:
    """Whether the customer may say or mend what they thought of the use: a fulfilled one, for whom someone outside paid."""
    if booking.state is not BookingState.COMPLETED or booking.organisation_id is None:
        return False
    if rating is not None:
        return now < rating.rated_at + EDIT_WITHIN
    return now < booking.ends_at + RATE_WITHIN


def standings(session: Session, resource_ids: Collection[str]) -> dict[str, Standing]:
    """By resource; those that nobody has rated are left out."""
    sums = select(Rating.resource_id, func.sum(Rating.stars), func.count()).where(Rating.resource_id.in_(resource_ids))
    return {
        resource_id: Standing((Decimal(int(stars)) / count).quantize(Decimal("0.1"), ROUND_HALF_UP), count)
        for resource_id, stars, count in session.execute(sums.group_by(Rating.resource_id))
    }


def ratings_of(session: Session, resource_id: str, *, limit: int, offset: int = 0) -> Sequence[Rating]:
    """For the publisher, newest first."""
    found = select(Rating).where(Rating.resource_id == resource_id).order_by(Rating.rated_at.desc(), Rating.booking_id)
    return session.scalars(found.limit(limit).offset(offset)).all()


def stars_of(session: Session, booking_ids: Collection[str]) -> dict[str, int]:
    """By booking, for the figures."""
    rows = session.execute(select(Rating.booking_id, Rating.stars).where(Rating.booking_id.in_(booking_ids)))
    return {booking_id: stars for booking_id, stars in rows}  # noqa: C416
