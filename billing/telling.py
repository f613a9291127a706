"""What the firm is told of a statement."""

from datetime import datetime

from sqlalchemy.orm import Session

from billing.tables import Statement
from booking.tables import Booking
from marketplace import outbox
from marketplace.money import Money


def tell_credit(session: Session, booking: Booking, statement_id: str, credit: Money, now: datetime) -> None:
    """That part of a cancellation's fee is given back, and how much."""
    about = {"booking_id": booking.id, "resource_id": booking.resource_id, "statement_id": statement_id}
    time = {"start": booking.starts_at.isoformat(), "end": booking.ends_at.isoformat()}
    data = {**about, **time, "minor": credit.minor, "currency": credit.currency}
    cause = f"statement:{statement_id}:statement_credited"
    outbox.queue(session, person_id=booking.person_id, kind="statement_credited", data=data, cause=cause, now=now)


def tell(session: Session, booking: Booking, statement: Statement, kind: str, now: datetime) -> None:
    """Queue a message of `kind` to who booked; a statement has one of each."""
    about = {"booking_id": booking.id, "resource_id": booking.resource_id, "statement_id": statement.id}
    time = {"start": booking.starts_at.isoformat(), "end": booking.ends_at.isoformat()}
    data = {**about, **time, "minor": statement.charge_minor, "currency": statement.currency}
    cause = f"statement:{statement.id}:{kind}"
    outbox.queue(session, person_id=booking.person_id, kind=kind, data=data, cause=cause, now=now)
