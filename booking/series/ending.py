"""Ends many bookings of a series in a few statements, by the rules of a single cancellation."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from booking.actions import facts
from booking.beside import actions as beside
from booking.outages import actions as outages
from booking.requests.tables import Grounds, RequestEnd
from booking.series import queries as series_queries
from booking.states import BookingState, Move, after
from booking.tables import Booking
from marketplace import audit
from marketplace.slot import Slot


def splits(bookings: Sequence[Booking]) -> tuple[list[Booking], list[Booking]]:
    """Those that can be ended together, and those whose claims hang on others: an operator's time."""
    return [row for row in bookings if not row.assisted], [row for row in bookings if row.assisted]


def cancel_together(
    session: Session, *, bookings: Sequence[Booking], by_customer: Collection[str], actor_id: str, now: datetime
) -> None:
    """End bookings that have not begun; those whose id is in `by_customer` by their customer, the others by the provider.

    Their resources' rows are locked and they are as they are now. Raises: WrongState.
    """
    before = [facts(row) for row in bookings]
    for row in bookings:
        if row.starts_at <= now and row.id in by_customer:
            after(BookingState.COMPLETED, Move.CANCEL)
        row.state = after(row.state, Move.CANCEL)
        row.version += 1
        row.cancelled_at, row.cancelled_by, row.cancelled_by_provider = now, actor_id, row.id not in by_customer
    session.flush()
    _release(session, bookings)
    for row, was in zip(bookings, before, strict=True):
        _record(session, row, was, actor_id, now)
        if row.decided_at is None and row.hold_until is None and row.id in by_customer:
            session.add(RequestEnd(booking_id=row.id, grounds=Grounds.WITHDRAWN, reason=None, ended_by=actor_id, ended_at=now))
    session.flush()


def _release(session: Session, bookings: Sequence[Booking]) -> None:
    """Free the slots; where an outage had spared one, it is closed now."""
    if series_queries.waived_in(session, {row.institution_id for row in bookings}):
        beside.leave_all(session, bookings)
    else:
        beside.release(session, [row.id for row in bookings])
    for resource_id in sorted({row.resource_id for row in bookings}):
        there = [row for row in bookings if row.resource_id == resource_id]
        reach = Slot(min(row.starts_at for row in there), max(row.ends_at for row in there))
        outages.close_what_is_left(session, resource_id=resource_id, around=reach)


def _record(session: Session, row: Booking, before: dict[str, object], actor_id: str, now: datetime) -> None:
    audit.record(
        session,
        actor_id=actor_id,
        action="cancel",
        object_kind="booking",
        object_id=row.id,
        institution_id=row.institution_id,
        before=before,
        after=facts(row),
        now=now,
    )
