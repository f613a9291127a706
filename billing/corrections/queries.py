"""Reads of what limits a correction, of what it names, and of what is still to be paid back."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import policy as policies
from billing import queries
from billing.corrections.limits import may_rise
from billing.ledger import Account
from billing.tables import BookingQuote, Statement, StatementState
from booking.lines.queries import lines_above, parts_of
from booking.tables import Booking
from devices.confirming import reach
from devices.discrepancies import queries as discrepancies
from devices.discrepancies.tables import Discrepancy
from devices.matching import EARLY_GRACE, OVERRUN_MAX
from devices.tables import ConfirmedUse
from marketplace.money import Money

COUNTING = (*queries.PAYING, StatementState.OPEN)


def ceiling(session: Session, booking: Booking, quote: BookingQuote, use: ConfirmedUse | None) -> Money | None:
    """What the booking may cost at most now; None where nothing limits it.

    A dispute that was settled is not opened again by late messages, and what was accepted rises only by messages that came
    within the policy's time, or by what both sides signed.
    """
    rows = queries.statements_of_booking(session, booking.id)
    accepted = Money(sum(row.charge_minor for row in rows if row.state in queries.PAYING), quote.currency)
    settled = _settled(rows)
    if settled is not None:
        return accepted + Money(settled.charge_minor, quote.currency) if settled.state is StatementState.OPEN else accepted
    before = next((row for row in reversed(rows) if row.state in queries.PAYING), None)
    if before is None or use is None or _signed_anew(session, before, use):
        return None
    hours = policies.parse(quote.policy).late_data_hours
    return None if may_rise(found_at=use.created_at, ends_at=booking.ends_at, late_data_hours=hours) else accepted


def _settled(rows: Sequence[Statement]) -> Statement | None:
    """The version by which a dispute was settled, if it stands."""
    by_number = {row.number: row for row in rows}
    return next((row for row in reversed(rows) if row.state in COUNTING and _settles(row, by_number.get(row.number - 1))), None)


def _settles(row: Statement, before: Statement | None) -> bool:
    disputed = before is not None and before.disputed_at is not None and before.state is StatementState.SUPERSEDED
    return disputed and before is not None and before.use_id == row.use_id


def _signed_anew(session: Session, before: Statement, use: ConfirmedUse) -> bool:
    billed = session.get(ConfirmedUse, before.use_id) if before.use_id else None
    return billed is not None and billed.attested_s != use.attested_s


def named(session: Session, booking: Booking, *, since: datetime) -> list[str]:
    """Ids of the discrepancies within the reach of a booking's use that were found after `since`."""
    parts = parts_of(session, [booking.resource_id])[booking.resource_id]
    found = discrepancies.standing(session, parts, reach(booking))
    return [row.id for row in found if row.found_at > since]


def to_pay_back(session: Session, booking_id: str, currency: str) -> Money:
    """What the firm has paid too much by accepted corrections and the provider does not give back."""
    return Money(max(0, -queries.balance_of(session, Account.AR, booking_id=booking_id)), currency)


def statements_by_ids(session: Session, ids: Collection[str]) -> Sequence[Statement]:
    return session.scalars(select(Statement).where(Statement.id.in_(ids)).order_by(Statement.booking_id, Statement.number)).all()


def statements_of_places(session: Session, found: Collection[Discrepancy]) -> Sequence[Statement]:
    """Further versions of bills of bookings within whose reach a discrepancy lies, drafted since the first was found."""
    if not found:
        return []
    metered = {one.resource_id for one in found}
    places = metered.union(*(lines_above(session, one) for one in metered))
    first, last = min(one.starts_at for one in found) - OVERRUN_MAX, max(one.ends_at for one in found) + EARLY_GRACE
    rows = select(Statement).join(Booking, Booking.id == Statement.booking_id).where(Booking.resource_id.in_(places))
    there = (Booking.starts_at < last, Booking.ends_at > first, Statement.number > 1)
    return session.scalars(rows.where(*there).order_by(Statement.booking_id, Statement.number)).all()
