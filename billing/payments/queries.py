"""What of the payments waits: for its time, or for a person as the provider refused it or nothing is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from billing.ledger import Account
from billing.queries import PAYING
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

SHOWN = (Operation.CAPTURE, Operation.RELEASE, Operation.REFUND, Operation.TRANSFER, Operation.CHARGE)
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
