"""Reads of what limits a correction, of what it names, and of what is still to be paid back."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import pairwise

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import policy as policies
from billing import queries
from billing.corrections.limits import may_rise
from billing.ledger import Account
from billing.tables import BookingQuote, Statement
from booking.lines.queries import lines_above, parts_of
from booking.tables import Booking
from devices.attestations import queries as attestations
from devices.attestations.tables import AttestationState
from devices.confirming import reach
from devices.discrepancies import queries as discrepancies
from devices.discrepancies.tables import Discrepancy
from devices.matching import EARLY_GRACE, OVERRUN_MAX
from devices.tables import ConfirmedUse
from marketplace.money import Money


def ceiling(session: Session, booking: Booking, quote: BookingQuote, use: ConfirmedUse | None) -> Money | None:
    """What the booking may cost at most now; None where nothing limits it.

    A dispute that was settled is not opened again by late messages: what it was settled at stays, whatever became of the version.
    Else messages that come too late raise nothing above the highest sum that was ever accepted, nor above what the last version
    came to that rests on messages in time or on a new signature. Both stand while later drafts come and go, so that it makes no
    difference how the late messages were cut.
    """
    rows = queries.statements_of_booking(session, booking.id)
    if settled := _settled(rows):
        return Money(_total(rows, settled), quote.currency)
    highest = max((_total(rows, row) for row in rows if row.state in queries.PAYING), default=None)
    if use is None or highest is None:
        return None
    free = _free(session, booking, quote, [*(row.use_id for row in rows), use.id])
    if use.id in free:
        return None
    asked = next((_total(rows, row) for row in reversed(rows) if row.use_id in free), highest)
    return Money(max(highest, asked), quote.currency)


def _total(rows: Sequence[Statement], upto: Statement) -> int:
    """What the booking costs by a version and by those that were accepted before it, minor units."""
    return upto.charge_minor + sum(row.charge_minor for row in rows if row.state in queries.PAYING and row.number < upto.number)


def _settled(rows: Sequence[Statement]) -> Statement | None:
    """The last version by which a dispute was settled, in any state: a draft that takes its place does not undo that."""
    found = [row for before, row in pairwise(rows) if before.disputed_at and before.use_id == row.use_id]
    return found[-1] if found else None


def _free(session: Session, booking: Booking, quote: BookingQuote, use_ids: Sequence[str | None]) -> set[str]:
    """Those of the billed uses, in their order, that may raise the bill: found in time, the first, or after a new signature."""
    hours = policies.parse(quote.policy).late_data_hours
    statements = attestations.attestations_of(session, booking.id)
    signed = [one.answered_at for one in statements if one.state is AttestationState.SIGNED and one.answered_at]
    uses = [session.get_one(ConfirmedUse, use_id) for use_id in dict.fromkeys(use_ids) if use_id]
    found = set()
    for before, use in zip([None, *uses], uses, strict=False):
        anew = before is None or any(before.created_at < at <= use.created_at for at in signed)
        if anew or may_rise(found_at=use.created_at, ends_at=booking.ends_at, late_data_hours=hours):
            found.add(use.id)
    return found


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
