"""Writes that go with corrections: what an accepted statement rests on is sealed, what was paid too much is paid back by bank."""

from datetime import datetime

from sqlalchemy.orm import Session

from billing import ledger
from billing import queries as bills
from billing.corrections import queries
from billing.corrections.tables import PaidBack
from billing.journal.actions import post
from billing.payments import actions as payments
from billing.tables import Statement
from booking.queries import get_booking
from booking.tables import Booking
from devices.confirming import extent
from devices.discrepancies.actions import seal
from devices.discrepancies.tables import Cause
from devices.tables import ConfirmedUse
from marketplace import audit
from marketplace.db import refused_by
from marketplace.ids import new_id
from marketplace.refusals import Invalid, NotFound, Refusal, WrongState


class PaidBackBefore(Refusal):
    """This bank serial was entered already. `serial` is it."""

    code = "received_before"


def seal_use(session: Session, statement: Statement, booking: Booking, now: datetime) -> None:
    """What was measured for an accepted statement stays as it is; its devices are locked."""
    if statement.use_id is None:
        return
    stretch = {booking.resource_id: extent(booking, session.get_one(ConfirmedUse, statement.use_id))}
    seal(session, cause=Cause.STATEMENT, cause_id=statement.id, stretches=stretch, now=now)


def mark_paid_back(session: Session, *, booking_id: str, serial: str, actor_id: str, now: datetime) -> PaidBack:
    """Finance has paid back by bank what corrections left the firm to get: all of it, by the serial of that transfer.

    Raises: NotFound, WrongState (nothing is to be paid back), Invalid, PaidBackBefore.
    """
    booking, newest = get_booking(session, booking_id), bills.accepted_statement(session, booking_id)
    if newest is None:
        raise NotFound(kind="statement")
    bills.lock_statement(session, newest.id)
    owed_back = queries.to_pay_back(session, booking_id, newest.currency)
    if not owed_back:
        raise WrongState(state=newest.state.value, move="return")
    if not 1 <= len(serial.strip()) <= 200:
        raise Invalid(field="serial", reason="give the bank's serial number")
    row = PaidBack(
        id=new_id("pbk"),
        booking_id=booking_id,
        institution_id=booking.institution_id,
        statement_id=newest.id,
        amount_minor=owed_back.minor,
        currency=owed_back.currency,
        serial=serial.strip(),
        recorded_by=actor_id,
        created_at=now,
    )
    with refused_by("serial", PaidBackBefore(serial=row.serial)), session.begin_nested():
        session.add(row)
    post(session, ledger.direct_paid(-owed_back), source_type="paid_back", source_id=row.id, booking=booking, now=now)
    audit.record(
        session,
        actor_id=actor_id,
        action="pay_back",
        object_kind="statement",
        object_id=newest.id,
        institution_id=booking.institution_id,
        before=None,
        after={"charge_minor": -row.amount_minor, "serial": row.serial},
        now=now,
    )
    payments.settle_if_paid(session, booking=booking, now=now)
    return row
