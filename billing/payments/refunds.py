"""Refunds: asked for, under way, arrived, come back and asked for again."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing import ledger, queries
from billing.journal.actions import post
from billing.payments.calls import amount_of, queue_call
from billing.payments.queries import came_back, refunds_of, wanting_refunds
from billing.payments.tables import Refund
from billing.providers.base import PaymentFact, RefundFact, RefundState
from billing.tables import CallState, Operation, Payment, ProviderCall
from billing.telling import tell_refund_failed
from booking.queries import get_booking
from booking.tables import Booking
from marketplace.money import Money
from marketplace.refusals import NotFound

MOST_TRIES = 3
"""So often a refund that comes back is sent; then a person has to see how the firm gets its money."""
SENT_AGAIN = timedelta(days=1)
RANK = {RefundState.PENDING: 0, RefundState.SUCCEEDED: 1, RefundState.FAILED: 2, RefundState.CANCELLED: 2}
"""A refund only moves to a higher one."""
BACK = frozenset({RefundState.FAILED, RefundState.CANCELLED})
AGAIN = "again"
"""The parameter of a call that sends out what had come back."""


def queue_refund(session: Session, payment: Payment, amount: Money, booking: Booking, source_id: str, now: datetime) -> None:
    """Give back of a payment; it is in transit until it has arrived. `total` is what will have been refunded of it then."""
    post(session, ledger.refund_initiated(amount), source_type="payment", source_id=source_id, booking=booking, now=now)
    parameters = {**amount_of(amount), "total": refunds_asked(session, payment) + amount.minor}
    queue_call(session, payment=payment, operation=Operation.REFUND, parameters=parameters, now=now)


def refunds_asked(session: Session, payment: Payment) -> int:
    """What was asked to be refunded of a payment and has not come back, minor units."""
    calls = [one for one in queries.calls_of(session, payment.booking_id) if one.payment_id == payment.id]
    asked = sum(
        int(one.parameters["amount"]) for one in calls if one.operation is Operation.REFUND and one.state is not CallState.FAILED
    )
    return asked - sum(row.amount_minor for row in refunds_of(session, payment.id) if row.state in BACK)


def apply_refunds(session: Session, *, payment: Payment, fact: PaymentFact, booking: Booking, now: datetime) -> None:
    """Move each refund of a payment forward to what the provider has, and post it once."""
    known = {row.id: row for row in refunds_of(session, payment.id)}
    unnamed = payment.refunded_minor - sum(row.amount_minor for row in known.values() if row.state is RefundState.SUCCEEDED)
    for seen in fact.refunds:
        row = known.get(seen.object_id)
        if row is None:
            row = _first_seen(session, payment, seen, now)
            if seen.state is RefundState.SUCCEEDED and unnamed >= seen.amount_minor:  # posted before refunds had rows
                row.state, row.arrived_at, unnamed = RefundState.SUCCEEDED, now, unnamed - seen.amount_minor
        if RANK[seen.state] > RANK[row.state]:
            row.state, row.failure = seen.state, seen.failure
            amount = Money(row.amount_minor, payment.currency)
            if row.state is RefundState.SUCCEEDED:
                _arrived(session, payment, row, amount, booking, now)
            else:
                _came_back(session, payment, row, amount, booking, now)
    session.flush()


def _first_seen(session: Session, payment: Payment, seen: RefundFact, now: datetime) -> Refund:
    row = Refund(
        id=seen.object_id,
        payment_id=payment.id,
        call_key=seen.made_by,
        amount_minor=seen.amount_minor,
        state=RefundState.PENDING,
        created_at=now,
    )
    session.add(row)
    return row


def _arrived(session: Session, payment: Payment, row: Refund, amount: Money, booking: Booking, now: datetime) -> None:
    if _was_again(queries.find_call_by_key(session, row.call_key)):
        source = f"{payment.id}:{row.id}"
        post(session, ledger.refund_repeated(amount), source_type="payment", source_id=source, booking=booking, now=now)
    before = payment.refunded_minor + payment.returned_minor
    source = f"{payment.id}:{before}" if before else payment.id
    post(session, ledger.refund_settled(amount), source_type="payment", source_id=source, booking=booking, now=now)
    payment.refunded_minor += row.amount_minor
    row.arrived_at = now


def _came_back(session: Session, payment: Payment, row: Refund, amount: Money, booking: Booking, now: datetime) -> None:
    row.ended_at, again = now, _was_again(queries.find_call_by_key(session, row.call_key))
    if row.arrived_at:
        payment.refunded_minor -= row.amount_minor
        payment.returned_minor += row.amount_minor
    if row.arrived_at or not again:  # what was sent again never left the account that it waits on
        entry = ledger.refund_came_back(amount) if row.arrived_at else ledger.refund_refused(amount)
        source = f"{payment.id}:{row.id}"
        post(session, entry, source_type="payment", source_id=source, booking=booking, now=now)
    _tell(session, payment, amount, booking, row.id, now)


def refund_refused(session: Session, *, payment: Payment, call: ProviderCall, now: datetime) -> None:
    """The provider has not taken a refund on."""
    booking, amount = get_booking(session, payment.booking_id), Money(call.parameters["amount"], payment.currency)
    if not _was_again(call):
        source = f"{payment.id}:{call.seq}"
        post(session, ledger.refund_refused(amount), source_type="payment", source_id=source, booking=booking, now=now)
    _tell(session, payment, amount, booking, call.key, now)


def _was_again(call: ProviderCall | None) -> bool:
    return call is not None and bool(call.parameters.get(AGAIN))


def _tell(session: Session, payment: Payment, amount: Money, booking: Booking, cause: str, now: datetime) -> None:
    again = now + SENT_AGAIN if tries(session, payment) < MOST_TRIES else None
    tell_refund_failed(session, booking, amount, cause=cause, again=again, now=now)


def tries(session: Session, payment: Payment) -> int:
    """How often refunds of a payment were refused or came back."""
    session.flush()
    calls = [one for one in queries.calls_of(session, payment.booking_id) if one.payment_id == payment.id]
    refused = sum(one.operation is Operation.REFUND and one.state is CallState.FAILED for one in calls)
    return refused + sum(row.state in BACK for row in refunds_of(session, payment.id))


def refund_again(session: Session, *, now: datetime) -> list[str]:
    """Send out once more what came back a day ago, a few times; the payments of which something goes out now."""
    waiting = (session.get_one(Payment, payment_id) for payment_id in wanting_refunds(session, ended_before=now - SENT_AGAIN))
    return [payment.id for payment in waiting if tries(session, payment) < MOST_TRIES and _send(session, payment, now)]


def send_again(session: Session, *, payment_id: str, now: datetime) -> None:
    """Once more and at once, for who knows that it will arrive now. Raises: NotFound (nothing came back, or it is under way)."""
    if payment_id not in wanting_refunds(session, ended_before=now):
        raise NotFound(kind="refund")
    _send(session, session.get_one(Payment, payment_id), now)


def _send(session: Session, payment: Payment, now: datetime) -> bool:
    queries.lock_payments(session, payment.booking_id)
    amount = Money(came_back(session, payment), payment.currency)
    if amount.minor <= 0:
        return False
    parameters = {**amount_of(amount), AGAIN: True}
    queue_call(session, payment=payment, operation=Operation.REFUND, parameters=parameters, now=now)
    return True
