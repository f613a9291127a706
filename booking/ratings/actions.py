"""Writes of ratings."""

from datetime import datetime

from sqlalchemy.orm import Session

from booking.actions import refresh_locked
from booking.ratings import queries
from booking.ratings.tables import Rating
from marketplace import audit
from marketplace.people.text import clean
from marketplace.refusals import Invalid, WrongState

LONGEST_COMMENT = 1000


def rate(session: Session, *, booking_id: str, stars: int, comment: str | None, actor_id: str, now: datetime) -> Rating:
    """Say what the use was like, 1 to 5; said again within a fortnight it replaces the first word.

    Raises: NotFound, WrongState (not fulfilled, the house's own use, or too late), Invalid.
    """
    if not 1 <= stars <= 5:
        raise Invalid(field="stars", reason="must be {low} to {high}", low=1, high=5)
    text = clean(comment.strip(), field="comment", longest=LONGEST_COMMENT) if comment and comment.strip() else None
    booking = refresh_locked(session, booking_id)
    row = queries.find_rating(session, booking_id)
    if not queries.may_rate(booking, row, now=now):
        raise WrongState(state="rated" if row else booking.state.value, move="rate")
    before = {"stars": row.stars} if row else None
    if row is None:
        row = Rating(booking_id=booking.id, resource_id=booking.resource_id, stars=stars, rated_by=actor_id, rated_at=now)
        session.add(row)
    else:
        row.stars, row.edited_at = stars, now
    row.comment = text
    session.flush()
    audit.record(
        session,
        actor_id=actor_id,
        action="rate",
        object_kind="booking",
        object_id=booking.id,
        institution_id=booking.institution_id,
        before=before,
        after={"stars": stars},
        now=now,
    )
    return row
