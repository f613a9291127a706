"""Settled fees of bookings, from billing's statements."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.tables import Statement, StatementState

CURRENCY = "CNY"
"""Revenue is reported in fen."""


def fees_of_bookings(session: Session, booking_ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """Per booking the fee of its newest settled statement and what was refunded of an earlier one, in fen.

    A correction is a further statement, so the newest one is what was kept; a smaller one means the rest went back.
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
        paid = fees[booking_id][0] if booking_id in fees else charge
        fees[booking_id] = (max(paid, charge), max(paid - charge, 0))
    return fees
