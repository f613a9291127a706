"""Who is told when something happens to a series: one message a person for all of its bookings."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy.orm import Session

from booking.states import BookingState
from booking.tables import Booking, BookingSeries
from booking.telling import SHORT_NOTICE
from marketplace import outbox
from marketplace.people import queries as people
from marketplace.roles import Role


def booked(session: Session, series: BookingSeries, bookings: Sequence[Booking], now: datetime) -> None:
    """The series stands, or waits for the publisher."""
    asked = bookings[0].state is BookingState.REQUESTED
    _tell_customers(session, series, bookings, "series_requested" if asked else "series_booked", "booked", now)
    if asked:
        _tell_managers(session, series, bookings, "request_to_decide", f"request:{bookings[0].version}", now)


def changed(session: Session, series: BookingSeries, bookings: Sequence[Booking], now: datetime) -> None:
    """Bookings of the series lie elsewhere now or were added."""
    _tell_customers(session, series, bookings, "series_changed", f"changed:{series.version}", now)
    if asked := [one for one in bookings if one.state is BookingState.REQUESTED]:
        _tell_managers(session, series, asked, "request_to_decide", f"request:{series.version}", now)


def cancelled(
    session: Session,
    series: BookingSeries,
    bookings: Sequence[Booking],
    now: datetime,
    why: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """These have ended; the managers hear of it where the first of them is near and the customer cancelled.

    `why` goes into the customers' messages: for which outage the provider ended them.
    """
    _tell_customers(session, series, bookings, "series_cancelled", f"cancelled:{bookings[0].id}", now, why)
    near = [one for one in bookings if one.starts_at - now <= SHORT_NOTICE and not one.cancelled_by_provider]
    if near:
        _tell_managers(session, series, near, "customer_cancelled", f"cancelled:{bookings[0].id}", now)


def _tell_customers(
    session: Session,
    series: BookingSeries,
    bookings: Sequence[Booking],
    kind: str,
    cause: str,
    now: datetime,
    why: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Each of those who hold the bookings of theirs, as a rule one."""
    for person_id in dict.fromkeys(one.person_id for one in bookings):
        theirs = [one for one in bookings if one.person_id == person_id]
        whole = f"{series.id}:{cause}" if person_id == series.person_id else f"{series.id}:{cause}:{person_id}"
        outbox.queue(session, person_id=person_id, kind=kind, data={**_data(series, theirs), **why}, cause=whole, now=now)


def _tell_managers(
    session: Session, series: BookingSeries, bookings: Sequence[Booking], kind: str, cause: str, now: datetime
) -> None:
    holders = {one.person_id for one in bookings}
    for manager in people.staff_of(session, series.institution_id, [Role.MANAGER]):
        if manager not in holders:
            whole = f"{series.id}:{cause}:{manager}"
            outbox.queue(session, person_id=manager, kind=kind, data=_data(series, bookings), cause=whole, now=now)


def _data(series: BookingSeries, bookings: Sequence[Booking]) -> dict[str, Any]:
    """The first of them, and how many there are."""
    return {
        "booking_id": bookings[0].id,
        "resource_id": series.resource_id,
        "start": bookings[0].starts_at.isoformat(),
        "end": bookings[0].ends_at.isoformat(),
        "series_id": series.id,
        "count": len(bookings),
    }
