"""What the clock asks for: holds that end, shares that did not go out, charges that were refused."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing import queries, settlement
from billing.payments import queries as waiting
from billing.payments.actions import MOST_CHARGES, capture, collect, pay_out
from billing.payments.payouts import REFUSED_AGAIN
from booking.queries import get_booking
from marketplace.money import Money

HOLD_GUARD = timedelta(hours=12)
"""So long before a hold ends it is captured as a prepayment."""


def guard_holds(session: Session, *, now: datetime) -> int:
    """Capture holds that are about to end before anybody accepted a statement, as prepayments; how many."""
    ending = queries.holds_ending(session, now=now, guard=HOLD_GUARD)
    for payment in ending:
        statement = queries.statement_of_booking(session, payment.booking_id)
        quote = queries.quote_of_booking(session, payment.booking_id)
        owed = Money(statement.firm_minor if statement else quote.quote_minor, payment.currency)
        amount = settlement.capturable(owed, Money(payment.authorised_minor, payment.currency))
        payment.prepaid = bool(amount)
        capture(session, payment, amount, now)
    session.flush()
    return len(ending)


def pay_out_due(session: Session, *, now: datetime) -> list[str]:
    """Send out what institutions have not got of captured payments: their account came later, or a transfer was refused.

    Returns the bookings for which something goes out now.
    """
    due = waiting.owing_institutions(session, refused_before=now - REFUSED_AGAIN)
    sent = []
    for booking in (get_booking(session, booking_id) for booking_id in due):
        before = queries.asked_to_transfer(session, booking.id)
        pay_out(session, booking=booking, now=now)
        sent += [booking.id] if queries.asked_to_transfer(session, booking.id) > before else []
    return sent


def charge_again(session: Session, *, now: datetime) -> list[str]:
    """Ask again for what payers' banks refused, a few times, a day apart; returns the statements for which it did."""
    due = waiting.refused_charges(session, refused_before=now - REFUSED_AGAIN, most=MOST_CHARGES)
    asked = []
    for statement in due:
        before = len(queries.payments_of(session, statement.booking_id))
        collect(session, statement=statement, now=now)
        asked += [statement.id] if len(queries.payments_of(session, statement.booking_id)) > before else []
    return asked
