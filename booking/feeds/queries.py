"""Reads of the bookings and outages that a calendar shows."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from booking.states import BookingState
from booking.tables import Booking, Outage

BACK = timedelta(days=90)
"""How long what is over stays."""

CANCELLED_STAY = timedelta(days=30)
"""How long what was cancelled is told of: a calendar that looks in once a month still takes it out."""

MOST = 1000
"""Entries a calendar holds, the latest ones."""

ENDED = (BookingState.CANCELLED, BookingState.REFUSED, BookingState.EXPIRED)


def bookings_of_person(session: Session, person_id: str, *, now: datetime) -> Sequence[Booking]:
    """What the person booked, latest first."""
    return _shown(session, Booking.person_id == person_id, now)


def bookings_of_resources(session: Session, resource_ids: Collection[str], *, now: datetime) -> Sequence[Booking]:
    """What was booked of any of them, latest first."""
    return _shown(session, Booking.resource_id.in_(resource_ids), now)


def _shown(session: Session, whose: ColumnElement[bool], now: datetime) -> Sequence[Booking]:
    """Holds are left out: in ten minutes they are bookings or nothing."""
    stands = and_(Booking.state.not_in([BookingState.HELD, *ENDED]), Booking.ends_at > now - BACK)
    known = or_(Booking.hold_until.is_(None), Booking.decided_at.is_not(None))
    since = now - CANCELLED_STAY
    told = or_(Booking.cancelled_at > since, and_(Booking.cancelled_at.is_(None), Booking.ends_at > since))
    found = select(Booking).where(whose, or_(stands, and_(Booking.state.in_(ENDED), known, told)))
    return session.scalars(found.order_by(Booking.starts_at.desc(), Booking.id).limit(MOST)).all()


def outages_of_resources(session: Session, resource_ids: Collection[str], *, now: datetime) -> Sequence[Outage]:
    """Latest first."""
    found = select(Outage).where(Outage.resource_id.in_(resource_ids), Outage.ends_at > now - BACK)
    return session.scalars(found.order_by(Outage.starts_at.desc(), Outage.id).limit(MOST)).all()
