"""Reads of external calendars, their busy time, and the bookings that it meets."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from booking.external.tables import ExternalBusy, ExternalCalendar
from booking.states import HOLDING
from booking.tables import Booking, Claim, Outage
from marketplace.refusals import NotFound
from marketplace.slot import Slot

MOST_CONFLICTS = 200


@dataclass(frozen=True, slots=True)
class Conflict:
    """A booking that stands although a calendar calls its time busy, and the part that both want."""

    booking: Booking
    calendar_id: str
    slot: Slot


def told_by_feed(session: Session, resource_id: str, *, after: datetime) -> frozenset[str]:
    """Ids of the bookings and outages of the resource that end after that time, in whatever state."""
    found: list[str] = []
    for kind in (Booking, Outage):
        found += session.scalars(select(kind.id).where(kind.resource_id == resource_id, kind.ends_at > after))
    return frozenset(found)


def get_calendar(session: Session, calendar_id: str) -> ExternalCalendar:
    """For the worker. Raises: NotFound."""
    if row := session.get(ExternalCalendar, calendar_id):
        return row
    raise NotFound(kind="calendar")


def get_fresh(session: Session, calendar_id: str) -> ExternalCalendar:
    """As it is now, its resource's row being locked. Raises: NotFound."""
    found = select(ExternalCalendar).where(ExternalCalendar.id == calendar_id).execution_options(populate_existing=True)
    if row := session.scalars(found).one_or_none():
        return row
    raise NotFound(kind="calendar")


def get_calendar_of(session: Session, resource_id: str, calendar_id: str) -> ExternalCalendar:
    """Raises: NotFound (also for another resource's)."""
    row = get_calendar(session, calendar_id)
    if row.resource_id != resource_id:
        raise NotFound(kind="calendar")
    return row


def calendars_of(session: Session, resource_id: str) -> Sequence[ExternalCalendar]:
    """In the order in which they were connected."""
    mine = select(ExternalCalendar).where(ExternalCalendar.resource_id == resource_id)
    return session.scalars(mine.order_by(ExternalCalendar.created_at, ExternalCalendar.id)).all()


def busy_of(session: Session, resource_id: str, *, within: Slot) -> Sequence[ExternalBusy]:
    """What all calendars of the resource call busy around `within`, in order."""
    return session.scalars(
        select(ExternalBusy)
        .where(ExternalBusy.resource_id == resource_id, ExternalBusy.starts_at < within.end, ExternalBusy.ends_at > within.start)
        .order_by(ExternalBusy.starts_at, ExternalBusy.id)
    ).all()


def busy_of_calendar(session: Session, calendar_id: str, *, after: datetime | None = None) -> Sequence[ExternalBusy]:
    """What it calls busy; with `after` only what ends later."""
    found = select(ExternalBusy).where(ExternalBusy.calendar_id == calendar_id)
    return session.scalars(found if after is None else found.where(ExternalBusy.ends_at > after)).all()


def count_busy(session: Session, calendar_ids: Collection[str], *, after: datetime) -> dict[str, int]:
    """How many stretches each of them calls busy from `after` on."""
    rows = session.execute(
        select(ExternalBusy.calendar_id, func.count())
        .where(ExternalBusy.calendar_id.in_(calendar_ids), ExternalBusy.ends_at > after)
        .group_by(ExternalBusy.calendar_id)
    )
    return {calendar_id: count for calendar_id, count in rows}  # noqa: C416


def conflicts_of(session: Session, resource_id: str, *, after: datetime) -> list[Conflict]:
    """Bookings that hold a unit of the resource at a time that a calendar calls busy, soonest first.

    A use of the line above it holds it too.
    """
    rows = session.execute(
        select(Booking, ExternalBusy)
        .join(Claim, Claim.booking_id == Booking.id)
        .join(ExternalBusy, ExternalBusy.resource_id == Claim.resource_id)
        .where(Claim.active, Claim.resource_id == resource_id, Booking.state.in_(HOLDING), Booking.ends_at > after)
        .where(ExternalBusy.starts_at < Booking.ends_at, ExternalBusy.ends_at > Booking.starts_at)
        .order_by(Booking.starts_at, Booking.id, ExternalBusy.starts_at)
        .distinct()
        .limit(MOST_CONFLICTS)
    )
    found = [(booking, busy, booking.slot.clip(busy.slot)) for booking, busy in rows]
    return [Conflict(booking, busy.calendar_id, both) for booking, busy, both in found if both]
