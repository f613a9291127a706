"""Reads of fee credits, and of who took a cancelled slot instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import queries
from billing.resale.tables import FeeCredit
from billing.tables import Statement
from booking.states import HOLDING, BookingState
from booking.tables import Booking

TAKEN_UP = frozenset({BookingState.COMPLETED, BookingState.NO_SHOW})
UNDER_WAY = HOLDING | {BookingState.UNVERIFIABLE}


@dataclass(frozen=True, slots=True)
class Resale:
    """Whether a booking in a cancelled slot is charged for (True), will not be (False), or that is not known yet (None)."""

    booking: Booking
    unit: int
    charged: bool | None


def find_credit(session: Session, booking_id: str) -> FeeCredit | None:
    return session.get(FeeCredit, booking_id)


def awaits(session: Session, booking_id: str) -> bool:
    """Whether it is still open what of a cancelled booking's fee is given back."""
    row = find_credit(session, booking_id)
    return row is not None and row.decided_at is None


def lock_due(session: Session, *, now: datetime, limit: int) -> Sequence[FeeCredit]:
    """Undecided credits of slots that are over, the oldest first, locked."""
    found = select(FeeCredit).where(FeeCredit.decided_at.is_(None), FeeCredit.ends_at <= now)
    oldest = found.order_by(FeeCredit.ends_at).limit(limit).with_for_update()
    return session.scalars(oldest.execution_options(populate_existing=True)).all()


def charged(session: Session, booking: Booking) -> bool | None:
    """By its accepted statements of use; None while the use or the statement waits for a word."""
    if booking.state in UNDER_WAY:
        return None
    if booking.state not in TAKEN_UP:
        return False
    newest = queries.statement_of_booking(session, booking.id)
    if newest is None or newest.state not in queries.PAYING:
        return None
    used = select(func.count()).where(Statement.booking_id == booking.id, Statement.use_id.is_not(None))
    amount, _ = queries.accepted_sums(session, booking.id)
    return amount > 0 and bool(session.scalar(used))
