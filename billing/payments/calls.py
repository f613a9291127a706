"""Payments as they begin, and intentions for the provider, put into the outbox."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import queries
from billing.tables import CallState, Operation, Payment, PaymentState, ProviderCall
from booking.tables import Booking
from marketplace.ids import new_id
from marketplace.money import Money
from marketplace.people.queries import get_person


def amount_of(amount: Money) -> dict[str, Any]:
    """As a call's parameters have it."""
    return {"amount": amount.minor, "currency": amount.currency}


def payer_of(session: Session, booking: Booking) -> dict[str, str]:
    """Whose customer at the provider pays for a booking, and in which language their pages are."""
    language = "en" if get_person(session, booking.person_id).locale == "en" else "zh"
    return {"payer": booking.organisation_id or booking.person_id, "language": language}


def new_payment(session: Session, booking: Booking, amount: Money, now: datetime) -> Payment:
    """A payment of which the provider knows nothing yet."""
    payment = Payment(
        id=new_id("pay"),
        booking_id=booking.id,
        number=len(queries.payments_of(session, booking.id)) + 1,
        state=PaymentState.WANTED,
        currency=amount.currency,
        wanted_minor=amount.minor,
        authorised_minor=0,
        captured_minor=0,
        refunded_minor=0,
        returned_minor=0,
        transferred_minor=0,
        fee_minor=0,
        prepaid=False,
        created_at=now,
    )
    session.add(payment)
    session.flush()
    return payment


def queue_call(
    session: Session, *, payment: Payment, operation: Operation, parameters: Mapping[str, Any], now: datetime
) -> ProviderCall:
    """Put an intention with all its parameters and its key into the outbox."""
    highest = session.scalar(select(func.max(ProviderCall.seq)).where(ProviderCall.booking_id == payment.booking_id)) or 0
    call = ProviderCall(
        id=new_id("call"),
        key=f"{payment.booking_id}:{operation.value}:{highest + 1}",
        booking_id=payment.booking_id,
        payment_id=payment.id,
        seq=highest + 1,
        operation=operation,
        parameters=dict(parameters),
        state=CallState.WAITING,
        run_at=now,
        attempts=0,
        generation=1,
        created_at=now,
    )
    session.add(call)
    session.flush()
    return call
