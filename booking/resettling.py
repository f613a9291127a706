"""Puts a booking that has left its claims into another place, where it was admitted by every rule of creation."""

from datetime import datetime

from sqlalchemy.orm import Session

from booking.admission import SlotRefused, Units, Wish
from booking.beside import actions as beside
from booking.places import Place
from booking.series.moved import note_move
from booking.states import BookingState, Move, after
from booking.tables import Booking
from marketplace.refusals import Reason


def taken_after_all(wish: Wish) -> SlotRefused:
    """Should the ledger itself refuse what was admitted."""
    return SlotRefused(wish, [Reason("slot_taken")], [wish.slot], [])


def resettle(session: Session, *, place: Place, booking: Booking, wish: Wish, units: Units) -> None:
    """Claim the units for what the wish asks. The rows of the place are locked. Raises: SlotRefused."""
    note_move(session, booking)
    booking.slot = wish.slot
    booking.resource_id, booking.rules_id = place.resource_id, place.rules_id
    booking.assisted = place.rules.assistance.attends(wanted=wish.assisted)
    booking.version += 1
    session.flush()
    beside.claim(session, place, booking, units, taken=taken_after_all(wish))


def ask_where_decided(place: Place, booking: Booking, now: datetime) -> None:
    """Before it is put there: where the publisher decides, a booking that stood needs a new yes."""
    if booking.state is BookingState.CONFIRMED and place.rules.asks(booking.organisation_id):
        booking.state, booking.decide_by = after(booking.state, Move.ASK), place.rules.decide_by(now)
