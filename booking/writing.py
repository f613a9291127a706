"""Rows of the occupancy ledger for a booking."""

from typing import Any

from booking.admission import Units
from booking.occupancy import Buffers
from booking.states import BookingState
from booking.tables import Booking, ClaimKind
from marketplace.ids import new_id

CLAIM_KINDS = {
    BookingState.HELD: ClaimKind.HOLD,
    BookingState.REQUESTED: ClaimKind.REQUEST,
    BookingState.CONFIRMED: ClaimKind.BOOKING,
}


def claim_rows(booking: Booking, units: Units, buffers: Buffers) -> list[dict[str, Any]]:
    """A row for each unit and lane, buffers included."""
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
        for lane, span in enumerate(buffers.spans(booking.slot))
    ]
