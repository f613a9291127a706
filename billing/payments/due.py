"""What the clock asks for: holds whose time has come or that end, pages that are over, shares that did not go out, charges that
were refused."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing import queries, settlement
from billing.payments import queries as waiting
from billing.payments.actions import GIVEN_UP, MOST_CHARGES, capture, collect, pay_out
from billing.payments.calls import amount_of, payer_of, queue_call
from billing.payments.pages import close_or_forget
from billing.payments.payouts import REFUSED_AGAIN
from billing.tables import Operation
from booking.queries import get_booking
from marketplace.money import Money

HOLD_GUARD = timedelta(hours=12)
"""So long before a hold ends it is captured as a prepayment."""


HOLD_AHEAD = timedelta(hours=48)
"""So long before the start an amount is held on a card that was kept."""


def take_holds(session: Session, *, now: datetime) -> list[str]:
    """Hold what bookings that start soon may cost, on their kept cards, without their payers; the bookings for which it did."""
    taken = []
    for payment in waiting.holds_to_take(session, starts_before=now + HOLD_AHEAD):
        booking, quote = get_booking(session, payment.booking_id), queries.quote_of_booking(session, payment.booking_id)
        if booking.state in GIVEN_UP or queries.accepted_statement(session, booking.id):  # it ended while the card was being kept
            close_or_forget(session, payment, now)
            continue
        amount = settlement.hold_for(Money(quote.quote_minor, quote.currency))  # a moved booking has another quote
        payment.wanted_minor = amount.minor
        parameters = {**amount_of(amount), **payer_of(session, booking), "off_session": True}
        queue_call(session, payment=payment, operation=Operation.HOLD, parameters=parameters, now=now)
        taken.append(booking.id)
    return taken


def close_pages(session: Session, *, now: datetime) -> list[str]:
    """Ask what came of pages that have ended; returns their payments."""
    over = waiting.pages_over(session, now=now)
    for payment in over:
        queue_call(session, payment=payment, operation=Operation.CLOSE, parameters={}, now=now)
    return [payment.id for payment in over]


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
