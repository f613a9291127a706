"""Intentions for the provider, put into the outbox."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing.tables import CallState, Operation, Payment, ProviderCall
from marketplace.ids import new_id
from marketplace.money import Money


def amount_of(amount: Money) -> dict[str, Any]:
    """As a call's parameters have it."""
    return {"amount": amount.minor, "currency": amount.currency}


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
