"""The dance with the provider: claim | commit | call | record | commit. A crash at any gap leaves one object over there."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session, aliased

from billing.payments.actions import apply_transfer, charge_refused, hold_refused
from billing.payments.applying import apply_fact
from billing.payments.pages import ask_bank
from billing.payments.queries import find_page
from billing.payments.refunds import refund_refused
from billing.payments.tables import Page
from billing.providers.base import Broken, Call, Declined, Fact, NoAnswer, Provider, Rejected, TransferFact
from billing.tables import CallState, Operation, Payment, PaymentState, ProviderCall
from booking.queries import get_booking

LEASE = timedelta(minutes=5)
BEGINNING = frozenset({Operation.HOLD, Operation.CHARGE, Operation.KEEP, Operation.PAGE})
"""A payment of which these were given up has come to nothing."""
KEY_LIFE = timedelta(hours=24)
"""So long a provider remembers a key; after it nothing is sent again before its state was read."""

FAULTS_BEFORE_LOOK = 3
"""After so many answers that went wrong the object is looked up: the provider may replay a saved fault for ever."""

LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Done:
    """The provider's fact, under the generation that was asked."""

    call_id: str
    fact: Fact
    generation: int


@dataclass(frozen=True, slots=True)
class Again:
    """Try later; with a new generation where the provider was proved to have nothing."""

    call_id: str
    error: str
    generation: int


@dataclass(frozen=True, slots=True)
class Given:
    """Given up: the payer's bank or the provider refused."""

    call_id: str
    error: str
    declined: bool


@dataclass(frozen=True, slots=True)
class Asks:
    """The payer's bank wants to be answered by the payer, on `page`; the payment stays open until then."""

    call_id: str
    object_id: str
    page: str


Outcome = Done | Again | Given | Asks


def claim(session: Session, *, now: datetime) -> Call | None:
    """Lease the next call that is due, the earliest of its booking. Commit before calling.

    A lease further ahead than any lease is long belongs to a clock that was wrong, and is void.
    """
    earlier = aliased(ProviderCall)
    blocked = exists().where(
        earlier.booking_id == ProviderCall.booking_id, earlier.seq < ProviderCall.seq, earlier.state == CallState.WAITING
    )
    free = or_(ProviderCall.lease_until.is_(None), ProviderCall.lease_until <= now, ProviderCall.lease_until > now + LEASE)
    due = (
        select(ProviderCall)
        .where(ProviderCall.state == CallState.WAITING, ProviderCall.run_at <= now, free, ~blocked)
        .order_by(ProviderCall.run_at, ProviderCall.seq)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    while (row := session.scalars(due).one_or_none()) is not None:
        payment = session.get_one(Payment, row.payment_id)
        if _is_moot(row, payment):
            row.state, row.done_at = CallState.DONE, now
            session.flush()
            continue
        row.lease_until, row.attempts = now + LEASE, row.attempts + 1
        row.first_called_at = row.first_called_at or now
        session.flush()
        return _as_call(row, payment, find_page(session, payment.id), now)
    return None


def _is_moot(row: ProviderCall, payment: Payment) -> bool:
    """Nothing is left to release or capture where the hold never came to be, and nothing to do on the page of what is over."""
    if row.operation in {Operation.READ, Operation.CLOSE}:
        return payment.state is not PaymentState.WANTED
    over = payment.state in {PaymentState.FAILED, PaymentState.RELEASED}
    return over and row.operation in {Operation.RELEASE, Operation.CAPTURE}


def _as_call(row: ProviderCall, payment: Payment, page: Page | None, now: datetime) -> Call:
    parameters = {**row.parameters, "booking": row.booking_id, "charge": payment.charge_id}
    return Call(
        id=row.id,
        key=row.key,
        operation=row.operation,
        parameters=parameters,
        object_id=payment.object_id,
        customer_id=payment.customer_id,
        method_id=payment.method_id,
        attempts=row.attempts,
        generation=row.generation,
        first_called_at=row.first_called_at or now,
        called_at=now,
        page_id=page.object_id if page else None,
    )


def call(asked: Call, provider: Provider) -> Outcome:
    """Ask the provider, with no transaction open. In doubt its state is read first, and never anything resent blindly."""
    try:
        if asked.called_at - asked.first_called_at >= KEY_LIFE or asked.attempts > FAULTS_BEFORE_LOOK:
            if (fact := provider.look(asked)) is not None:
                return Done(asked.id, fact, asked.generation)
            asked = replace(asked, generation=asked.generation + 1)
        return Done(asked.id, provider.perform(asked), asked.generation)
    except (NoAnswer, Broken) as trouble:
        return Again(asked.id, f"{type(trouble).__name__}: {trouble}"[:500], asked.generation)
    except (Declined, Rejected) as trouble:
        if isinstance(trouble, Declined) and trouble.needs_payer and trouble.page and trouble.object_id:
            return Asks(asked.id, trouble.object_id, trouble.page)
        return Given(asked.id, str(trouble)[:500], declined=isinstance(trouble, Declined))


def record(session: Session, outcome: Outcome, *, now: datetime) -> None:
    """Write what came of a call, with its postings, in one transaction. A call that is done already stays as it is."""
    found = select(ProviderCall).where(ProviderCall.id == outcome.call_id).with_for_update()
    row = session.scalars(found.execution_options(populate_existing=True)).one()
    if row.state is not CallState.WAITING:
        return
    row.lease_until = None
    payment = session.get_one(Payment, row.payment_id)
    if isinstance(outcome, Again):
        row.generation, row.last_error = outcome.generation, outcome.error
        row.run_at = now + min(timedelta(seconds=10) * 2 ** min(row.attempts, 10), LONGEST_WAIT)
    elif isinstance(outcome, Given):
        row.state, row.last_error, row.done_at = CallState.FAILED, outcome.error, now
        _given_up(session, row, payment, outcome, now)
    elif isinstance(outcome, Asks):
        row.state, row.done_at, row.last_error = CallState.DONE, now, None
        ask_bank(session, payment, outcome.object_id, outcome.page, get_booking(session, payment.booking_id), now)
    else:
        row.generation = outcome.generation
        _record_fact(session, row, payment, outcome.fact, now)
    session.flush()


def _given_up(session: Session, row: ProviderCall, payment: Payment, given: Given, now: datetime) -> None:
    if row.operation is Operation.REFUND:
        refund_refused(session, payment=payment, call=row, now=now)
    if row.operation not in BEGINNING or payment.state is not PaymentState.WANTED:
        return
    payment.state = PaymentState.FAILED
    session.flush()
    if row.operation is Operation.CHARGE and given.declined:
        charge_refused(session, payment=payment, now=now)
    elif row.operation is Operation.HOLD and row.parameters.get("off_session"):
        hold_refused(session, payment=payment, now=now)


def _record_fact(session: Session, row: ProviderCall, payment: Payment, fact: Fact, now: datetime) -> None:
    if not _applied(session, row, payment, fact, now):
        row.state, row.last_error = CallState.MISMATCH, "amount_mismatch"
        return
    row.state, row.done_at, row.last_error = CallState.DONE, now, None


def _applied(session: Session, row: ProviderCall, payment: Payment, fact: Fact, now: datetime) -> bool:
    """False where a fact contradicts what was asked."""
    if not isinstance(fact, TransferFact):
        return apply_fact(session, payment=payment, fact=fact, now=now)
    if fact.amount_minor != row.parameters["amount"]:
        return False
    apply_transfer(session, payment=payment, amount_minor=fact.amount_minor, now=now)
    return True
