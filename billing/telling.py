"""What the firm is told of a statement, and both sides of a correction."""

from datetime import datetime

from sqlalchemy.orm import Session

from billing.tables import Statement
from booking.tables import Booking
from marketplace import outbox
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.roles import Role
from marketplace.slot import Slot

FINANCE = (Role.MANAGER, Role.FINANCE)


def _about(booking: Booking, amount: Money) -> dict[str, str | int | None]:
    about = {"booking_id": booking.id, "resource_id": booking.resource_id}
    time = {"start": booking.starts_at.isoformat(), "end": booking.ends_at.isoformat()}
    return {**about, **time, "minor": amount.minor, "currency": amount.currency}


def _of_statement(booking: Booking, statement: Statement) -> dict[str, str | int | None]:
    """With what the firm pays of it."""
    return {**_about(booking, Money(statement.firm_minor, statement.currency)), "statement_id": statement.id}


def tell_credit(session: Session, booking: Booking, left: Slot, statement_id: str, credit: Money, now: datetime) -> None:
    """That part of the fee for the time that was left is given back, and how much."""
    time = {"start": left.start.isoformat(), "end": left.end.isoformat()}
    data = {**_about(booking, credit), "statement_id": statement_id, **time}
    cause = f"statement:{statement_id}:statement_credited"
    outbox.queue(session, person_id=booking.person_id, kind="statement_credited", data=data, cause=cause, now=now)


def tell(session: Session, booking: Booking, statement: Statement, kind: str, now: datetime) -> None:
    """Queue a message of `kind` to who booked; a statement has one of each."""
    data = _of_statement(booking, statement)
    cause = f"statement:{statement.id}:{kind}"
    outbox.queue(session, person_id=booking.person_id, kind=kind, data=data, cause=cause, now=now)


def tell_not_funded(session: Session, booking: Booking, statement: Statement, reason: str, now: datetime) -> None:
    """Who booked: a programme does not pay its part, why, and what the firm pays instead."""
    data = {**_of_statement(booking, statement), "reason": reason}
    kind = "statement_not_funded"
    outbox.queue(session, person_id=booking.person_id, kind=kind, data=data, cause=f"statement:{statement.id}:{kind}", now=now)


def tell_refused(
    session: Session, booking: Booking, statement: Statement, owed: Money, *, number: int, again: datetime | None, now: datetime
) -> None:
    """The payer's bank has refused what is still owed: to who booked each time, to the house once it is not asked `again`."""
    data = {**_about(booking, owed), "statement_id": statement.id, "again": again.isoformat() if again else None}
    cause = f"statement:{statement.id}:statement_refused:{number}"
    outbox.queue(session, person_id=booking.person_id, kind="statement_refused", data=data, cause=cause, now=now)
    for person_id in people.staff_of(session, booking.institution_id, FINANCE) if again is None else ():
        if person_id != booking.person_id:
            kind = "statement_unpaid"
            outbox.queue(session, person_id=person_id, kind=kind, data=data, cause=f"{cause}:{person_id}", now=now)


def tell_rest(session: Session, booking: Booking, statement: Statement, rest: Money, now: datetime) -> None:
    """Who booked, once for each version: what was secured does not cover it, and no card can be charged for the rest."""
    cause = f"statement:{statement.id}:payment_rest"
    outbox.queue(session, person_id=booking.person_id, kind="payment_rest", data=_about(booking, rest), cause=cause, now=now)


def tell_unsecured(session: Session, booking: Booking, hold: Money, *, cause: str, now: datetime) -> None:
    """The bank has refused to hold what secures a booking: to who booked, and to the house."""
    data, told = _about(booking, hold), f"payment:{cause}:unsecured"
    outbox.queue(session, person_id=booking.person_id, kind="payment_hold_refused", data=data, cause=told, now=now)
    for person_id in people.staff_of(session, booking.institution_id, FINANCE):
        if person_id != booking.person_id:
            kind = "payment_unsecured"
            outbox.queue(session, person_id=person_id, kind=kind, data=data, cause=f"{told}:{person_id}", now=now)


def tell_refund_failed(
    session: Session, booking: Booking, amount: Money, *, cause: str, again: datetime | None, now: datetime
) -> None:
    """Who booked: a refund did not arrive, and when it is sent `again`; else a person has to see to it."""
    data = {**_about(booking, amount), "again": again.isoformat() if again else None}
    told = f"payment:{cause}:refund_failed"
    outbox.queue(session, person_id=booking.person_id, kind="payment_refund_failed", data=data, cause=told, now=now)


def tell_disputed(session: Session, booking: Booking, statement: Statement, now: datetime) -> None:
    """The institution's finance, that the firm objects."""
    data = {**_of_statement(booking, statement), "minor": statement.charge_minor}
    for person_id in people.staff_of(session, booking.institution_id, FINANCE):
        cause = f"statement:{statement.id}:statement_disputed:{person_id}"
        outbox.queue(session, person_id=person_id, kind="statement_disputed", data=data, cause=cause, now=now)


def tell_corrected(session: Session, booking: Booking, statement: Statement, now: datetime) -> None:
    """Both sides, once: late messages have made another use of what was accepted, and by how much the bill changes."""
    data = _of_statement(booking, statement)
    for person_id in dict.fromkeys([booking.person_id, *people.staff_of(session, booking.institution_id, FINANCE)]):
        cause = f"statement:{statement.id}:statement_corrected:{person_id}"
        outbox.queue(session, person_id=person_id, kind="statement_corrected", data=data, cause=cause, now=now)
