"""Who is told when something happens to a booking: its booker by every change, the institution's managers where they must act."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from booking.states import HOLDING, BookingState
from booking.tables import Booking
from marketplace import outbox
from marketplace.people import queries as people
from marketplace.roles import Role


class Told(StrEnum):
    """Whether a change is told by itself, or together with others by whoever makes them all."""

    ALONE = "alone"
    TOGETHER = "together"
    MANAGERS = "managers"
    """The managers by itself, its booker together."""


TOLD = {
    "book": {BookingState.CONFIRMED: "booking_confirmed", BookingState.REQUESTED: "booking_requested"},
    "confirm_hold": {BookingState.CONFIRMED: "booking_confirmed", BookingState.REQUESTED: "booking_requested"},
    "substitute": {BookingState.CONFIRMED: "booking_substituted", BookingState.REQUESTED: "booking_requested"},
    "approve": {BookingState.CONFIRMED: "booking_confirmed"},
    "refuse": {BookingState.REFUSED: "booking_refused"},
    "move": dict.fromkeys(HOLDING, "booking_changed"),
    "swap": dict.fromkeys(HOLDING, "booking_changed"),
    "cancel": {BookingState.CANCELLED: "booking_cancelled"},
    "expire": {BookingState.EXPIRED: "booking_expired"},
}
"""Which message the person gets after which action."""

ASKING = frozenset({"book", "substitute", "confirm_hold", "ask_again", "move", "swap"})
"""Actions that leave the institution with a request to decide."""

SHORT_NOTICE = timedelta(hours=48)
"""A customer who cancels so close to the start leaves the institution little time to find another."""


def tell(
    session: Session,
    booking: Booking,
    *,
    action: str,
    before: dict[str, Any] | None,
    facts: dict[str, Any],
    now: datetime,
    told: Told = Told.ALONE,
) -> None:
    """Queue what `action` makes worth telling: one message a person, none twice. `facts` are the booking's as of now."""
    if told is Told.TOGETHER:
        return
    data = {"booking_id": booking.id, "resource_id": booking.resource_id, **facts}
    if action in {"move", "swap"} and before:
        data["was"] = {"start": before["start"], "end": before["end"]}
    if told is Told.ALONE and (kind := TOLD.get(action, {}).get(booking.state)):
        cause = f"{booking.id}:{kind}:{booking.version}"
        outbox.queue(session, person_id=booking.person_id, kind=kind, data=data, cause=cause, now=now)
    if kind := for_managers(booking, action, before, now):
        data = {name: value for name, value in data.items() if name != "instead_of"}  # where the customer comes from
        for person_id in people.staff_of(session, booking.institution_id, [Role.MANAGER]):
            if person_id != booking.person_id:
                cause = f"{booking.id}:{kind}:{booking.version}:{person_id}"
                outbox.queue(session, person_id=person_id, kind=kind, data=data, cause=cause, now=now)


def for_managers(booking: Booking, action: str, before: dict[str, Any] | None, now: datetime) -> str | None:
    """Which message the institution's managers get."""
    if booking.state is BookingState.REQUESTED and action in ASKING:
        return "request_to_decide"
    by_customer = action == "cancel" and not booking.cancelled_by_provider
    stood = before is not None and before["state"] != BookingState.HELD
    if by_customer and stood and booking.starts_at - now <= SHORT_NOTICE:
        return "customer_cancelled"
    return None
