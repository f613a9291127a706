"""Who is told when a bundle is moved: one message a person for all of its bookings."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from booking.states import BookingState
from booking.tables import Booking
from marketplace import outbox
from marketplace.people import queries as people
from marketplace.roles import Role
from marketplace.slot import Slot


def moved(
    session: Session, bundle_id: str, bookings: Sequence[Booking], was: Sequence[Slot], version: int, now: datetime
) -> None:
    """Whoever holds some of them hears of those; the managers of a house, of its own that wait for their yes."""
    lay = {row.id: slot for row, slot in zip(bookings, was, strict=True)}
    holders = dict.fromkeys(row.person_id for row in bookings)
    for person_id in holders:
        theirs = [row for row in bookings if row.person_id == person_id]
        cause = f"{bundle_id}:changed:{version}:{person_id}"
        outbox.queue(session, person_id=person_id, kind="bundle_changed", data=_data(theirs, lay), cause=cause, now=now)
    asked = [row for row in bookings if row.state is BookingState.REQUESTED]
    for house in dict.fromkeys(row.institution_id for row in asked):
        waiting = [row for row in asked if row.institution_id == house]
        for manager in people.staff_of(session, house, [Role.MANAGER]):
            if manager not in holders:
                cause = f"{bundle_id}:request:{version}:{manager}"
                outbox.queue(session, person_id=manager, kind="request_to_decide", data=_data(waiting, lay), cause=cause, now=now)


def _data(bookings: Sequence[Booking], lay: dict[str, Slot]) -> dict[str, Any]:
    """The first of them, and the others as its `parts`."""
    first, *others = [
        {
            "booking_id": row.id,
            "resource_id": row.resource_id,
            "start": row.starts_at.isoformat(),
            "end": row.ends_at.isoformat(),
            "was": {"start": lay[row.id].start.isoformat(), "end": lay[row.id].end.isoformat()},
            "version": row.version,
        }
        for row in bookings
    ]
    return {**first, "parts": others} if others else first
