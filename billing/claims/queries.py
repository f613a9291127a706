"""Reads of claims, and of what can be claimed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from billing.claims.tables import ClaimLine, PassedOn, ProgrammeClaim
from billing.programmes.choosing import Mode
from billing.programmes.tables import Entitlement, FundingProgramme, ProgrammeShare, ShareState
from billing.queries import PAYING
from billing.settlement import Funding
from billing.tables import BankReceipt, Statement
from marketplace.money import Money
from marketplace.refusals import NotFound

MOST = 5000
"""Shares in one claim."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A line of a claim with what it rests on."""

    line: ClaimLine
    share: ProgrammeShare
    statement: Statement
    entitlement: Entitlement


@dataclass(frozen=True, slots=True)
class ToPassOn:
    """What an institution gets of a claim that was paid to the platform, and by which transfer it got it.

    What it had too much by other claims is taken off; where nothing is left to be passed on, the amount is not more than zero.
    """

    institution_id: str
    amount: Money
    passed: PassedOn | None


def claims_of(session: Session, programme_id: str) -> Sequence[ProgrammeClaim]:
    """Newest first."""
    found = select(ProgrammeClaim).where(ProgrammeClaim.programme_id == programme_id)
    return session.scalars(found.order_by(ProgrammeClaim.number.desc()).limit(500)).all()


def get_claim(session: Session, programme_id: str, claim_id: str) -> ProgrammeClaim:
    """Raises: NotFound."""
    row = session.get(ProgrammeClaim, claim_id)
    if row is None or row.programme_id != programme_id:
        raise NotFound(kind="claim")
    return row


def lock_claim(session: Session, programme_id: str, claim_id: str) -> ProgrammeClaim:
    """The same, locked until the transaction ends. Raises: NotFound."""
    found = (
        select(ProgrammeClaim).where(ProgrammeClaim.id == claim_id, ProgrammeClaim.programme_id == programme_id).with_for_update()
    )
    if row := session.scalars(found.execution_options(populate_existing=True)).one_or_none():
        return row
    raise NotFound(kind="claim")


def lines_of(session: Session, claim_id: str) -> list[Claimed]:
    """By booking and version."""
    found = (
        select(ClaimLine, ProgrammeShare, Statement, Entitlement)
        .join(ProgrammeShare, ProgrammeShare.id == ClaimLine.share_id)
        .join(Statement, Statement.id == ProgrammeShare.statement_id)
        .join(Entitlement, Entitlement.id == ProgrammeShare.entitlement_id)
        .where(ClaimLine.claim_id == claim_id)
        .order_by(Statement.booking_id, Statement.number, Entitlement.id)
    )
    return [Claimed(*row) for row in session.execute(found)]


def claimable(session: Session, programme_id: str, since: datetime, until: datetime) -> list[ProgrammeShare]:
    """Shares of statements that were accepted in `[since, until)` and are in no claim, the oldest first."""
    found = _owed(programme_id).where(Statement.accepted_at >= since, Statement.accepted_at < until)
    return list(
        session.scalars(found.order_by(Statement.accepted_at, ProgrammeShare.id).limit(MOST).with_for_update(of=ProgrammeShare))
    )


def to_claim(session: Session, programme: FundingProgramme) -> Money:
    """What of it no claim asks for yet."""
    found = select(func.coalesce(func.sum(_owed(programme.id).subquery().c.amount_minor), 0))
    return Money(int(session.scalar(found) or 0), programme.currency)


def _owed(programme_id: str) -> Select[ProgrammeShare]:
    return (
        select(ProgrammeShare)
        .join(Statement, Statement.id == ProgrammeShare.statement_id)
        .join(Entitlement, Entitlement.id == ProgrammeShare.entitlement_id)
        .where(
            Entitlement.programme_id == programme_id,
            ProgrammeShare.state == ShareState.OWED,
            ProgrammeShare.amount_minor != 0,
            Statement.state.in_(PAYING),
        )
    )


def last_number(session: Session, programme_id: str) -> int:
    return int(session.scalar(select(func.max(ProgrammeClaim.number)).where(ProgrammeClaim.programme_id == programme_id)) or 0)


def to_pass_on(session: Session, claim: ProgrammeClaim, programme: FundingProgramme) -> list[ToPassOn]:
    """By institution; nothing where the programme pays firms or institutions themselves."""
    if programme.mode is not Mode.DEDUCT:
        return []
    sums: dict[str, int] = {}
    for one in lines_of(session, claim.id):
        if one.share.state is ShareState.PAID and one.statement.funding is not Funding.BANK:
            house = one.statement.institution_id
            sums[house] = sums.get(house, 0) + one.share.conditional_minor
    rows = session.scalars(select(PassedOn).where(PassedOn.claim_id == claim.id))
    passed = {row.institution_id: row for row in rows}
    for house, amount in sums.items():
        if house in passed:
            sums[house] = passed[house].amount_minor
        elif amount > 0:
            sums[house] += sum(to_set_off(session, claim, house).values())
    return [ToPassOn(house, Money(amount, claim.currency), passed.get(house)) for house, amount in sorted(sums.items())]


def to_set_off(session: Session, claim: ProgrammeClaim, institution_id: str) -> dict[str, int]:
    """By other claim of the programme, what the institution had too much by it and has not given back."""
    of_it = ProgrammeClaim.programme_id == claim.programme_id, ProgrammeClaim.id != claim.id
    waits = ProgrammeShare.state == ShareState.PAID, ProgrammeShare.passed_on_at.is_(None)
    through = Statement.institution_id == institution_id, Statement.funding != Funding.BANK
    found = (
        select(ClaimLine.claim_id, func.sum(ProgrammeShare.conditional_minor))
        .join(ProgrammeClaim, ProgrammeClaim.id == ClaimLine.claim_id)
        .join(ProgrammeShare, ProgrammeShare.id == ClaimLine.share_id)
        .join(Statement, Statement.id == ProgrammeShare.statement_id)
        .where(*of_it, *waits, *through)
        .group_by(ClaimLine.claim_id)
        .having(func.sum(ProgrammeShare.conditional_minor) < 0)
    )
    return {claim_id: int(amount) for claim_id, amount in session.execute(found)}


def receipts_of_bookings(session: Session, booking_ids: Collection[str]) -> dict[str, list[str]]:
    """By booking, the serials of the firm's own transfers for all versions of its bill."""
    rows = (
        select(Statement.booking_id, BankReceipt.serial)
        .join(BankReceipt, BankReceipt.statement_id == Statement.id)
        .where(Statement.booking_id.in_(booking_ids))
        .order_by(BankReceipt.received_on, BankReceipt.id)
    )
    found: dict[str, list[str]] = {}
    for booking_id, serial in session.execute(rows):
        found.setdefault(booking_id, []).append(serial)
    return found
