"""Settled fees of bookings, from billing's statements."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.tables import Statement, StatementState

CURRENCY = "CNY"
"""Revenue is reported in fen."""


def fees_of_bookings(session: Session, booking_ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """Per booking the fees of its settled statements and what was given back of them, in fen.

    A correction is a further statement that says what it adds; a negative one gives back.
    """
    rows = session.execute(
        select(Statement.booking_id, Statement.charge_minor)
        .where(
            Statement.booking_id.in_(booking_ids),
            Statement.state == StatementState.SETTLED,
            Statement.currency == CURRENCY,
        )
        .order_by(Statement.booking_id, Statement.number)
    )
    fees: dict[str, tuple[int, int]] = {}
    for booking_id, charge in rows:
        paid, back = fees.get(booking_id, (0, 0))
        fees[booking_id] = (paid + max(charge, 0), back + max(-charge, 0))
    return fees
