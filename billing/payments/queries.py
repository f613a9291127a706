"""What of the payments waits for a person: calls that the provider refused, events of nothing known, shares nobody can send."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from billing.ledger import Account
from billing.tables import CallState, JournalEntry, JournalLeg, Operation, PayoutAccount, ProviderCall, ProviderEvent
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
