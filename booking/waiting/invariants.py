"""What must hold of waiting lists whatever happened."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from booking.tables import Booking, Claim
from booking.waiting.line import WaitingState
from booking.waiting.tables import WaitingEntry

MOST_TOLD = 100


def violations(session: Session) -> list[str]:
    """An offer holds exactly its units and nothing else does; what was taken up is a booking of the same person."""
    return [*_held(session), *_booked(session)]


def _held(session: Session) -> list[str]:
    held = func.count(func.distinct(Claim.unit))
    rows = session.execute(
        select(WaitingEntry.id, WaitingEntry.state, WaitingEntry.quantity, held)
        .outerjoin(Claim, (Claim.waiting_id == WaitingEntry.id) & (Claim.resource_id == WaitingEntry.resource_id) & Claim.active)
        .group_by(WaitingEntry.id)
        .having(
            ((WaitingEntry.state == WaitingState.OFFERED) & (held != WaitingEntry.quantity))
            | ((WaitingEntry.state != WaitingState.OFFERED) & (held != 0))
        )
        .limit(MOST_TOLD)
    )
    return [f"place {key} in line is {state.value} and holds {found} of {wanted} units" for key, state, wanted, found in rows]


def _booked(session: Session) -> list[str]:
    rows = session.scalars(
        select(WaitingEntry.id)
        .outerjoin(Booking, Booking.id == WaitingEntry.booking_id)
        .where(WaitingEntry.state == WaitingState.BOOKED)
        .where(Booking.id.is_(None) | (Booking.person_id != WaitingEntry.person_id))
        .limit(MOST_TOLD)
    )
    return [f"place {key} in line is booked, but by nobody" for key in rows]
