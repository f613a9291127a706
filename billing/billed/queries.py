"""Statements of an institution or of firms in some time, and their sums by currency as the journal has them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from billing.ledger import Account
from billing.tables import JournalEntry, JournalLeg, Statement, StatementState
from marketplace.money import Money

UNANSWERED = (StatementState.OPEN, StatementState.DISPUTED)
Which = tuple[ColumnElement[bool], ...]
"""Every version that counts or waits for an answer and is about money: a correction beside what it corrects."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one currency; what is outstanding is billed and has not come in."""

    billed: Money
    outstanding: Money

    @property
    def received(self) -> Money:
        return self.billed - self.outstanding


def by_institution(institution_id: str, since: datetime) -> Which:
    return Statement.institution_id == institution_id, Statement.created_at >= since, *_counting()


def to_organisations(organisation_ids: Collection[str], since: datetime, until: datetime) -> Which:
    """Issued in `[since, until)`."""
    issued = Statement.created_at >= since, Statement.created_at < until
    return Statement.organisation_id.in_(organisation_ids), *issued, *_counting()


def _counting() -> Which:
    return Statement.state != StatementState.SUPERSEDED, or_(Statement.charge_minor != 0, Statement.programme_minor != 0)


def list_statements(session: Session, which: Which, *, limit: int, offset: int = 0) -> Sequence[Statement]:
    """Newest first."""
    found = select(Statement).where(*which).order_by(Statement.created_at.desc(), Statement.id.desc())
    return session.scalars(found.limit(limit).offset(offset)).all()


def sums_of(session: Session, which: Which) -> list[Sums]:
    """Of all of them, by currency."""
    billed = _by_currency(session, which)
    outstanding = _by_currency(session, (*which, Statement.state.in_(UNANSWERED)))
    being_paid = session.scalars(select(Statement).where(*which, Statement.state == StatementState.ACCEPTED)).all()
    for one, left in zip(being_paid, open_amounts(session, being_paid), strict=True):
        outstanding[one.currency] += left.minor
    return [Sums(Money(billed[one], one), Money(outstanding[one], one)) for one in sorted(billed)]


def open_amounts(session: Session, statements: Sequence[Statement]) -> list[Money]:
    """What is still owed for each; what a booking owes lies on its newest accepted versions, on none more than it charged."""
    rest = _rests(session, {one.booking_id for one in statements if one.state is StatementState.ACCEPTED})
    return [Money(one.firm_minor if one.state in UNANSWERED else rest.get(one.id, 0), one.currency) for one in statements]


def _rests(session: Session, booking_ids: Collection[str]) -> dict[str, int]:
    """By version, minor units."""
    owed = select(JournalEntry.booking_id, func.sum(JournalLeg.amount_minor)).where(*_owed(booking_ids))
    left = {str(one): int(amount) for one, amount in session.execute(owed.group_by(JournalEntry.booking_id))}
    accepted = Statement.booking_id.in_(booking_ids), Statement.state == StatementState.ACCEPTED
    versions = select(Statement.id, Statement.booking_id, Statement.firm_minor).where(*accepted)
    found = {}
    for statement_id, booking_id, charge in session.execute(versions.order_by(Statement.booking_id, Statement.number.desc())):
        found[statement_id] = min(max(charge, 0), max(left.get(booking_id, 0), 0))
        left[booking_id] = left.get(booking_id, 0) - found[statement_id]
    return found


def _owed(booking_ids: Collection[str]) -> Which:
    of_them = JournalEntry.booking_id.in_(booking_ids)
    return of_them, JournalLeg.entry_id == JournalEntry.id, JournalLeg.account == Account.AR


def _by_currency(session: Session, which: Which) -> defaultdict[str, int]:
    sums = select(Statement.currency, func.sum(Statement.firm_minor)).where(*which).group_by(Statement.currency)
    return defaultdict(int, {currency: int(amount) for currency, amount in session.execute(sums)})
