"""What of the payments waits: for its time, or for a person as the provider refused it or nothing is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from billing.ledger import Account, EntryKind
from billing.payments.tables import Page, Refund
from billing.providers.base import Purpose, RefundState
from billing.queries import PAYING, find_call
from billing.resale.tables import FeeCredit
from billing.tables import (
    CallState,
    JournalEntry,
    JournalLeg,
    Operation,
    Payment,
    PaymentState,
    PayoutAccount,
    ProviderCall,
    ProviderEvent,
    Statement,
    StatementState,
)
from booking.tables import Booking
from marketplace.money import Money
from marketplace.tables import Institution, Settlement

SHOWN = (Operation.CAPTURE, Operation.RELEASE, Operation.REFUND, Operation.TRANSFER, Operation.CHARGE, Operation.CLOSE)
"""Refused, it is for the platform's operator to see why; a hold that is refused ends with its booking."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Calls that are still to be made."""

    count: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Share:
    """An institution that is paid through the platform: its account there, and what it is owed by currency."""

    institution: Institution
    account_id: str | None
    owed: Sequence[Money]


def calls_waiting(session: Session) -> Waiting:
    asked = select(func.count(), func.min(ProviderCall.created_at)).where(ProviderCall.state == CallState.WAITING)
    count, oldest = session.execute(asked).one()
    return Waiting(int(count), oldest)


def calls_in_trouble(session: Session, *, limit: int = 100) -> Sequence[ProviderCall]:
    """Contradicted by the provider, or refused and not asked again since; newest first."""
    later = aliased(ProviderCall)
    again = exists().where(
        later.payment_id == ProviderCall.payment_id, later.operation == ProviderCall.operation, later.seq > ProviderCall.seq
    )
    refused = (ProviderCall.state == CallState.FAILED) & ProviderCall.operation.in_(SHOWN) & ~again
    found = select(ProviderCall).where(or_(ProviderCall.state == CallState.MISMATCH, refused))
    return session.scalars(found.order_by(ProviderCall.id.desc()).limit(limit)).all()


def events_put_aside(session: Session, *, limit: int = 100) -> Sequence[ProviderEvent]:
    """About objects of which nothing is known here, newest first."""
    found = select(ProviderEvent).where(ProviderEvent.quarantined_at.is_not(None))
    return session.scalars(found.order_by(ProviderEvent.quarantined_at.desc(), ProviderEvent.id).limit(limit)).all()


def shares(session: Session) -> list[Share]:
    """Of every institution for which the platform collects, in the order of their names."""
    asked = (
        select(Institution, PayoutAccount.account_id)
        .outerjoin(PayoutAccount, PayoutAccount.institution_id == Institution.id)
        .where(Institution.settlement == Settlement.PLATFORM_COLLECTS)
    )
    owed = _owed(session)
    rows = session.execute(asked.order_by(Institution.name, Institution.id))
    return [Share(house, account, owed.get(house.id, ())) for house, account in rows]


def _owed(session: Session) -> dict[str, list[Money]]:
    """What the journal owes them, their tax with it; nothing that is conditional."""
    legs = select(JournalEntry.institution_id, JournalEntry.currency, func.sum(JournalLeg.amount_minor)).where(
        JournalLeg.entry_id == JournalEntry.id,
        JournalLeg.account.in_([Account.IP, Account.TAX]),
        JournalEntry.institution_id.in_(_collecting()),
    )
    found: dict[str, list[Money]] = {}
    for house, currency, amount in session.execute(legs.group_by(JournalEntry.institution_id, JournalEntry.currency)):
        if house and amount:
            found.setdefault(house, []).append(Money(-int(amount), currency))
    return found


def _collecting() -> Select[str]:
    return select(Institution.id).where(Institution.settlement == Settlement.PLATFORM_COLLECTS)


def owing_institutions(session: Session, *, refused_before: datetime, limit: int = 200) -> list[str]:
    """Bookings of which an institution with an account has not got its share of what was taken, and nothing goes out.

    One whose transfer was refused later than `refused_before` is left out, unless its account is another one since.
    """
    of_it, share = ProviderCall.payment_id == Payment.id, JournalLeg.account.in_([Account.IP, Account.TAX])
    under_way = exists().where(
        of_it,
        ProviderCall.operation == Operation.TRANSFER,
        or_(
            ProviderCall.state != CallState.FAILED,
            and_(ProviderCall.done_at > refused_before, ProviderCall.done_at >= PayoutAccount.created_at),
        ),
    )
    decided = ~exists().where(FeeCredit.booking_id == Payment.booking_id, FeeCredit.decided_at.is_(None))
    accepted = exists().where(Statement.booking_id == Payment.booking_id, Statement.state.in_(PAYING))
    found = (
        select(Payment.booking_id)
        .join(Booking, Booking.id == Payment.booking_id)
        .join(PayoutAccount, PayoutAccount.institution_id == Booking.institution_id)
        .join(JournalEntry, JournalEntry.booking_id == Payment.booking_id)
        .join(JournalLeg, and_(JournalLeg.entry_id == JournalEntry.id, share))
        .where(Payment.state == PaymentState.CAPTURED, ~under_way, decided, accepted)
        .group_by(Payment.booking_id)
        .having(func.sum(JournalLeg.amount_minor) < 0)
    )
    return list(session.scalars(found.order_by(Payment.booking_id).limit(limit)))


def refused_charges(session: Session, *, refused_before: datetime, most: int, limit: int = 200) -> list[Statement]:
    """Accepted statements whose last charge was refused by then, fewer than `most` times in all, and nothing is under way."""
    of_it = ProviderCall.booking_id == Statement.booking_id
    waiting = exists().where(of_it, ProviderCall.state.in_([CallState.WAITING, CallState.MISMATCH]))
    refused = of_it, ProviderCall.operation == Operation.CHARGE, ProviderCall.state == CallState.FAILED
    times = select(func.count()).select_from(ProviderCall).where(*refused).scalar_subquery()
    last = select(func.max(ProviderCall.done_at)).where(*refused).scalar_subquery()
    found = select(Statement).where(
        Statement.state == StatementState.ACCEPTED, ~waiting, times.between(1, most - 1), last <= refused_before
    )
    return list(session.scalars(found.order_by(Statement.id).limit(limit)))


def find_page(session: Session, payment_id: str) -> Page | None:
    return session.get(Page, payment_id)


def payment_of_page(session: Session, object_id: str) -> Payment | None:
    """The payment whose page or whose kept card has this id at the provider."""
    return session.scalars(
        select(Payment).join(Page, Page.payment_id == Payment.id).where(Page.object_id == object_id)
    ).one_or_none()


def payment_of_call(session: Session, key: str) -> Payment | None:
    """The payment that a call with this key was about."""
    return session.scalars(
        select(Payment).join(ProviderCall, ProviderCall.payment_id == Payment.id).where(ProviderCall.key == key)
    ).one_or_none()


def asked_for(session: Session, payment_id: str, *operations: Operation) -> bool:
    """Whether a call of one of the operations was ever put into the outbox."""
    asked = exists().where(ProviderCall.payment_id == payment_id, ProviderCall.operation.in_(operations))
    return bool(session.scalar(select(asked)))


def find_card(session: Session, booking_id: str) -> Payment | None:
    """The first of a booking's payments whose card may be charged without its payer; not one that was paid on a page."""
    paid = select(Page.payment_id).where(Page.purpose == Purpose.PREPAY)
    kept = Payment.method_id.is_not(None), Payment.customer_id.is_not(None), Payment.id.not_in(paid)
    found = select(Payment).where(Payment.booking_id == booking_id, *kept)
    return session.scalars(found.order_by(Payment.number).limit(1)).one_or_none()


def is_rest(session: Session, payment: Payment) -> bool:
    """Whether its payer was to pay on a page what a statement had left owed; its end is no reason to charge a card."""
    page = find_page(session, payment.id)
    return page is not None and page.purpose is Purpose.PREPAY and not payment.prepaid


def waits_for_its_time(session: Session, payment: Payment) -> bool:
    """Whether its card is kept and nothing was held on it yet."""
    page = find_page(session, payment.id) if payment.state is PaymentState.WANTED else None
    return page is not None and page.kept_at is not None and not asked_for(session, payment.id, Operation.HOLD)


def holds_to_take(session: Session, *, starts_before: datetime, limit: int = 200) -> Sequence[Payment]:
    """Payments whose card is kept and whose booking starts by then, the earliest first."""
    held = exists().where(ProviderCall.payment_id == Payment.id, ProviderCall.operation == Operation.HOLD)
    found = (
        select(Payment)
        .join(Page, Page.payment_id == Payment.id)
        .join(Booking, Booking.id == Payment.booking_id)
        .where(Page.kept_at.is_not(None), Payment.state == PaymentState.WANTED, Booking.starts_at <= starts_before, ~held)
    )
    return session.scalars(found.order_by(Booking.starts_at, Payment.id).limit(limit)).all()


def pages_over(session: Session, *, now: datetime, limit: int = 200) -> Sequence[Payment]:
    """Payments whose page has ended by now without a word of what came of it."""
    opened = exists().where(
        ProviderCall.payment_id == Payment.id, ProviderCall.operation == Operation.PAGE, ProviderCall.state == CallState.DONE
    )
    closed = exists().where(ProviderCall.payment_id == Payment.id, ProviderCall.operation == Operation.CLOSE)
    found = (
        select(Payment)
        .join(Page, Page.payment_id == Payment.id)
        .where(Payment.state == PaymentState.WANTED, Page.kept_at.is_(None), Page.ends_at <= now, opened, ~closed)
    )
    return session.scalars(found.order_by(Page.ends_at).limit(limit)).all()


def refunds_of(session: Session, payment_id: str) -> Sequence[Refund]:
    """Oldest first."""
    return session.scalars(select(Refund).where(Refund.payment_id == payment_id).order_by(Refund.created_at, Refund.id)).all()


def refunds_of_booking(session: Session, booking_id: str) -> Sequence[Refund]:
    """Oldest first."""
    mine = select(Refund).join(Payment, Payment.id == Refund.payment_id).where(Payment.booking_id == booking_id)
    return session.scalars(mine.order_by(Refund.created_at, Refund.id)).all()


def came_back(session: Session, payment: Payment) -> int:
    """What of its refunds came back and was not sent again, minor units."""
    mine = JournalEntry.source_id.startswith(payment.id, autoescape=True), JournalEntry.source_type == "payment"
    kinds = JournalEntry.kind.in_([EntryKind.REFUND_FAILED, EntryKind.REFUND_REPEATED])
    sums = select(func.coalesce(func.sum(JournalLeg.amount_minor), 0)).join(JournalEntry, JournalEntry.id == JournalLeg.entry_id)
    of_it = JournalEntry.booking_id == payment.booking_id, JournalLeg.account == Account.SUS
    return -int(session.scalar(sums.where(*of_it, *mine, kinds)) or 0)


def wanting_refunds(session: Session, *, ended_before: datetime, limit: int = 200) -> Sequence[str]:
    """Payments of which a refund was refused or came back, the last one by then, and none is under way."""
    of_it = ProviderCall.payment_id == Payment.id, ProviderCall.operation == Operation.REFUND
    refused = exists().where(*of_it, ProviderCall.state == CallState.FAILED)
    late = exists().where(*of_it, ProviderCall.state == CallState.FAILED, ProviderCall.done_at > ended_before)
    waiting = exists().where(*of_it, ProviderCall.state.in_([CallState.WAITING, CallState.MISMATCH]))
    returned = exists().where(Refund.payment_id == Payment.id, Refund.ended_at.is_not(None))
    lately = exists().where(Refund.payment_id == Payment.id, Refund.ended_at > ended_before)
    pending = exists().where(Refund.payment_id == Payment.id, Refund.state == RefundState.PENDING)
    back = (
        select(JournalEntry.booking_id)
        .join(JournalLeg, JournalLeg.entry_id == JournalEntry.id)
        .where(JournalEntry.kind.in_([EntryKind.REFUND_FAILED, EntryKind.REFUND_REPEATED]), JournalLeg.account == Account.SUS)
        .group_by(JournalEntry.booking_id)
        .having(func.sum(JournalLeg.amount_minor) < 0)
    )
    found = select(Payment.id).where(or_(refused, returned), Payment.booking_id.in_(back), ~late, ~lately, ~waiting, ~pending)
    return session.scalars(found.order_by(Payment.id).limit(limit)).all()


def captured_at(session: Session, booking_id: str) -> dict[str, datetime]:
    """When each payment of a booking was taken, as posted."""
    kinds = JournalEntry.kind.in_([EntryKind.PAYMENT_CAPTURED, EntryKind.PREPAY_CAPTURED])
    rows = select(JournalEntry.source_id, JournalEntry.created_at).where(JournalEntry.booking_id == booking_id, kinds)
    return {row[0]: row[1] for row in session.execute(rows)}


@dataclass(frozen=True, slots=True)
class Stuck:
    """What of a payment was to go back to the firm and came back from there; nothing is under way."""

    payment_id: str
    booking_id: str
    amount: Money
    failure: str
    at: datetime


def refunds_stuck(session: Session, *, now: datetime) -> list[Stuck]:
    found = []
    for payment in (session.get_one(Payment, one) for one in wanting_refunds(session, ended_before=now)):
        ended = [row for row in refunds_of(session, payment.id) if row.ended_at]
        refused = find_call(session, payment.id, Operation.REFUND)
        failure = (ended[-1].failure if ended else refused.last_error if refused else None) or ""
        at = (ended[-1].ended_at if ended else refused.done_at if refused else None) or payment.created_at
        amount = Money(came_back(session, payment), payment.currency)
        if amount.minor > 0:
            found.append(Stuck(payment.id, payment.booking_id, amount, failure, at))
    return found
