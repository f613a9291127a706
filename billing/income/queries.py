"""What an institution billed since some day: its statements, and their sums by currency as the journal has them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from billing.ledger import Account
from billing.tables import JournalEntry, JournalLeg, Statement, StatementState
from marketplace.money import Money

UNANSWERED = (StatementState.OPEN, StatementState.DISPUTED)


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one currency; what is outstanding is billed and has not come in."""

    billed: Money
    outstanding: Money

    @property
    def received(self) -> Money:
        return self.billed - self.outstanding


def statements_of_institution(session: Session, institution_id: str, *, since: datetime, limit: int) -> Sequence[Statement]:
    """Every version that counts or waits for an answer and is about money, newest first: a correction beside what it corrects."""
    found = select(Statement).where(*_counting(institution_id, since)).order_by(Statement.created_at.desc(), Statement.id.desc())
    return session.scalars(found.limit(limit)).all()


def sums_of_institution(session: Session, institution_id: str, *, since: datetime) -> list[Sums]:
    """Of the same statements, all of them, by currency."""
    counting = _counting(institution_id, since)
    billed = _by_currency(session, counting)
    outstanding = _by_currency(session, (*counting, Statement.state.in_(UNANSWERED)))
    being_paid = select(Statement.booking_id).where(*counting, Statement.state == StatementState.ACCEPTED)
    owed = select(JournalEntry.currency, func.sum(JournalLeg.amount_minor)).where(*_owed(being_paid))
    for currency, amount in session.execute(owed.group_by(JournalEntry.currency)):
        outstanding[currency] += int(amount)
    return [Sums(Money(billed[one], one), Money(outstanding[one], one)) for one in sorted(billed)]


def receivable(session: Session, booking_ids: Collection[str]) -> Mapping[str, int]:
    """What firms owe for each of these bookings by the journal, minor units; those of which nothing is posted are left out."""
    asked = select(JournalEntry.booking_id, func.sum(JournalLeg.amount_minor)).where(*_owed(booking_ids))
    return {str(one): int(amount) for one, amount in session.execute(asked.group_by(JournalEntry.booking_id))}


def _owed(booking_ids: Select[str] | Collection[str]) -> tuple[ColumnElement[bool], ...]:
    of_them = JournalEntry.booking_id.in_(booking_ids)
    return of_them, JournalLeg.entry_id == JournalEntry.id, JournalLeg.account == Account.AR


def _counting(institution_id: str, since: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Statement.institution_id == institution_id,
        Statement.created_at >= since,
        Statement.state != StatementState.SUPERSEDED,
        Statement.charge_minor != 0,
    )


def _by_currency(session: Session, where: tuple[ColumnElement[bool], ...]) -> defaultdict[str, int]:
    sums = select(Statement.currency, func.sum(Statement.charge_minor)).where(*where).group_by(Statement.currency)
    return defaultdict(int, {currency: int(amount) for currency, amount in session.execute(sums)})
