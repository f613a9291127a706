"""Rows of a booking and of its claims in the occupancy ledger."""

from datetime import datetime
from typing import Any

from booking.admission import Units, Wish
from booking.occupancy import Buffers
from booking.places import Place
from booking.states import BookingState
from booking.tables import Booking, Claim, ClaimKind
from marketplace.ids import is_operator, new_id
from marketplace.prepared import Append
from marketplace.slot import Slot

BOOKINGS, CLAIMS = Append(Booking), Append(Claim)
CLAIM_KINDS = {
    BookingState.HELD: ClaimKind.HOLD,
    BookingState.REQUESTED: ClaimKind.REQUEST,
    BookingState.CONFIRMED: ClaimKind.BOOKING,
}


def new_booking(place: Place, wish: Wish, hold_until: datetime | None, now: datetime) -> dict[str, Any]:
    """Its row: held for payment where it is to be, a request where the publisher decides, else confirmed."""
    state = BookingState.CONFIRMED
    if hold_until is not None:
        state = BookingState.HELD
    elif place.rules.asks(wish.organisation_id):
        state = BookingState.REQUESTED
    return {
        "id": new_id("bk"),
        "resource_id": place.resource_id,
        "institution_id": place.institution_id,
        "organisation_id": wish.organisation_id,
        "person_id": wish.person_id,
        "rules_id": place.rules_id,
        "starts_at": wish.slot.start,
        "ends_at": wish.slot.end,
        "quantity": wish.quantity,
        "category": wish.category,
        "purpose": wish.purpose,
        "assisted": place.rules.assistance.attends(wanted=wish.assisted),
        "state": state,
        "hold_until": hold_until,
        "submitted_at": now,
        "decide_by": place.rules.decide_by(now) if state is BookingState.REQUESTED else None,
        "decided_at": now if state is BookingState.CONFIRMED else None,
        "cancelled_by_provider": False,
        "version": 1,
    }


def spans_of(resource_id: str, slot: Slot, buffers: Buffers) -> list[Slot]:
    """What a use of `slot` claims of it, one span a lane, buffers included; an operator stands by at the use alone."""
    return [slot] if is_operator(resource_id) else buffers.spans(slot)


def claim_rows(booking: Booking, units: Units, buffers: Buffers) -> list[dict[str, Any]]:
    """A row for each unit and lane."""
    return [
        {
            "id": new_id("clm"),
            "institution_id": booking.institution_id,
            "resource_id": resource_id,
            "unit": unit,
            "lane": lane,
            "starts_at": span.start,
            "ends_at": span.end,
            "kind": CLAIM_KINDS[booking.state],
            "booking_id": booking.id,
            "active": True,
        }
        for resource_id, chosen in units.items()
        for unit in chosen
        for lane, span in enumerate(spans_of(resource_id, booking.slot, buffers))
    ]
