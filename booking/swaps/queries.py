"""Reads of swaps."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from booking.swaps.tables import Swap, SwapState
from booking.tables import Booking
from marketplace.permissions import Actor
from marketplace.refusals import NotFound

SHOWN = 20
"""Proposals listed of one booking."""


def get_swap(session: Session, swap_id: str) -> Swap:
    """Raises: NotFound."""
    if row := session.get(Swap, swap_id, populate_existing=True):
        return row
    raise NotFound(kind="swap")


def get_swap_for(session: Session, actor: Actor, swap_id: str) -> Swap:
    """If one of its bookings is the actor's or their organisation's. Raises: NotFound."""
    one, other = aliased(Booking), aliased(Booking)
    sides = [
        condition
        for side in (one, other)
        for condition in (side.person_id == actor.person_id, side.organisation_id.in_(actor.organisations))
    ]
    joined = select(Swap).join(one, one.id == Swap.booking_id).join(other, other.id == Swap.with_booking_id)
    if row := session.scalars(joined.where(Swap.id == swap_id, or_(*sides))).one_or_none():
        return row
    raise NotFound(kind="swap")


def swaps_of(session: Session, booking_id: str) -> Sequence[Swap]:
    """Proposed by its holder or to them, newest first."""
    found = select(Swap).where(or_(Swap.booking_id == booking_id, Swap.with_booking_id == booking_id))
    return session.scalars(found.order_by(Swap.id.desc()).limit(SHOWN)).all()


def open_swaps(session: Session, booking_ids: Collection[str]) -> Sequence[Swap]:
    """Those of any of the bookings that wait for an answer."""
    touched = or_(Swap.booking_id.in_(booking_ids), Swap.with_booking_id.in_(booking_ids))
    return session.scalars(select(Swap).where(Swap.state == SwapState.PROPOSED, touched)).all()


def overdue(session: Session, *, now: datetime, limit: int = 200) -> Sequence[Swap]:
    """Open ones whose deadline is over, or one of whose bookings has changed since; oldest first."""
    one, other = aliased(Booking), aliased(Booking)
    joined = select(Swap).join(one, one.id == Swap.booking_id).join(other, other.id == Swap.with_booking_id)
    over = or_(Swap.answer_by <= now, one.version != Swap.version, other.version != Swap.with_version)
    return session.scalars(joined.where(Swap.state == SwapState.PROPOSED, over).order_by(Swap.answer_by).limit(limit)).all()
