"""Writes of fee credits: decided once for each time that was given up, given back by a correcting statement."""

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing import ledger, pricing
from billing import policy as policies
from billing import queries as bills
from billing.actions import charge_at_once
from billing.journal.actions import post
from billing.ledger import Account
from billing.payments import actions as payments
from billing.resale import queries, shares
from billing.resale.queries import Resale
from billing.resale.tables import FeeCredit
from billing.settlement import Funding
from billing.telling import tell_credit
from booking.queries import get_booking, taken_instead
from booking.tables import Booking
from marketplace import audit
from marketplace.money import Money
from marketplace.refusals import Invalid, NotFound, WrongState
from marketplace.slot import Slot

LONGEST_WAIT = timedelta(days=30)
"""After the cancelled slot; a booking that is still not billed by then does not hold the decision up any longer."""
BATCH = 100


def decide_due(session: Session, *, now: datetime) -> list[str]:
    """Decide every credit that can be decided; returns the ids of the bookings."""
    decided = []
    for row in queries.lock_due(session, now=now, limit=BATCH):
        booking = get_booking(session, row.booking_id)
        left = shares.slot_of(row.ends_at, row.whole_s, booking.quantity)
        found = [Resale(other, unit, queries.charged(session, other)) for unit, other in taken_instead(session, booking, left)]
        if now < row.ends_at + LONGEST_WAIT and any(one.charged is None for one in found):
            continue
        _decide(session, row, booking, left, [one for one in found if one.charged], now)
        decided.append(booking.id)
    return decided


def _decide(session: Session, row: FeeCredit, booking: Booking, left: Slot, resales: list[Resale], now: datetime) -> None:
    taken: dict[int, list[Slot]] = defaultdict(list)
    for one in resales:
        taken[one.unit].append(one.booking.slot)
    fee = Money(row.fee_minor, row.currency)
    row.resold_s = min(shares.resold_s(left, taken), row.whole_s)
    credit = shares.credit(fee, row.resold_s, row.whole_s)
    row.credit_minor, row.decided_at = credit.minor, now
    session.flush()
    if credit:
        whole = Money(bills.accepted_sums(session, booking.id)[0], row.currency)
        resold = pricing.minutes_of(timedelta(seconds=row.resold_s) / booking.quantity)
        tax = policies.parse(bills.quote_to_settle(session, booking).policy).tax
        charge = pricing.charge_for_cancellation(whole, credit, resold, tax=tax)
        row.correction_id = charge_at_once(session, booking=booking, charge=charge, now=now).id
        tell_credit(session, booking, left, row.correction_id, credit, now)
        _note(session, row, booking, "credit_fee", None, now)
    session.flush()
    payments.give_back(session, booking=booking, now=now)
    payments.pay_out(session, booking=booking, now=now)


def mark_returned(session: Session, *, booking_id: str, serial: str, actor_id: str, now: datetime) -> FeeCredit:
    """Finance has paid the credit back by bank: what the firm had paid too much, by the serial of that transfer.

    Raises: NotFound, WrongState (nothing is to be paid back), Invalid.
    """
    row, booking = queries.find_credit(session, booking_id), get_booking(session, booking_id)
    if row is None:
        raise NotFound(kind="credit")
    session.refresh(row, with_for_update=True)
    owed_back = -bills.balance_of(session, Account.AR, booking_id=booking_id)
    if bills.quote_of_booking(session, booking_id).funding is not Funding.BANK or owed_back <= 0 or row.returned_minor:
        raise WrongState(state="settled", move="return")
    if not 1 <= len(serial.strip()) <= 200:
        raise Invalid(field="serial", reason="give the bank's serial number")
    row.returned_minor, row.returned_serial, row.returned_by, row.returned_at = owed_back, serial.strip(), actor_id, now
    session.flush()
    entry = ledger.direct_paid(Money(-owed_back, row.currency))
    post(session, entry, source_type="fee_credit", source_id=booking_id, booking=booking, now=now)
    _note(session, row, booking, "return_fee", actor_id, now)
    payments.settle_if_paid(session, booking=booking, now=now)
    return row


def _note(session: Session, row: FeeCredit, booking: Booking, action: str, actor_id: str | None, now: datetime) -> None:
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="booking",
        object_id=row.booking_id,
        institution_id=booking.institution_id,
        before={"fee_minor": row.fee_minor},
        after={"credit_minor": row.credit_minor, "resold_s": row.resold_s, "returned_minor": row.returned_minor},
        now=now,
    )
