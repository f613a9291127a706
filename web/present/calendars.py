"""Bookings as entries of a calendar: what the attachment of a letter, a download and a feed have in common."""

from datetime import datetime

from booking.states import BookingState
from booking.tables import Booking
from marketplace.tables import Institution, Resource
from web.calendar import Event, Status
from web.present import names
from web.views.frame import Lang

STATES = {
    BookingState.HELD: Status.TENTATIVE,
    BookingState.REQUESTED: Status.TENTATIVE,
    BookingState.CANCELLED: Status.CANCELLED,
    BookingState.EXPIRED: Status.CANCELLED,
    BookingState.REFUSED: Status.CANCELLED,
    BookingState.PROVIDER_FAILED: Status.CANCELLED,
}
"""Any other state is time that was kept free for the booking: confirmed, used, not used, not provable."""


def entry(row: Booking, place: Resource, house: Institution, *, lang: Lang, base_url: str) -> Event:
    """A booking for those who may know of it."""
    return Event(
        uid=uid_of(row),
        sequence=row.version,
        stamp=changed_at(row),
        slot=row.slot,
        summary=names.name_of(place, lang),
        location=place_of(place, house, lang),
        status=STATES.get(row.state, Status.CONFIRMED),
        url=f"{base_url.rstrip('/')}/{lang.value}/bookings/{row.id}",
    )


def uid_of(row: Booking) -> str:
    return f"{row.id}@pilotbench"


def place_of(place: Resource, house: Institution, lang: Lang) -> str:
    """Institution and address on one line."""
    return ", ".join(part for part in (names.name_of(house, lang), place.address) if part)


def changed_at(row: Booking) -> datetime:
    """The latest instant that the booking itself tells of a change; a move is told by its version alone."""
    known = (row.submitted_at, row.decided_at, row.cancelled_at, row.concluded_at)
    return max(at for at in known if at)
